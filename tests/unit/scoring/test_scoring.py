from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import xgboost
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import FeatureError, TerminalError
from mlforge.scoring import (
    METADATA_KEY,
    Feature,
    ModelDescription,
    NoCalibration,
    PlattCalibration,
    ScoringModel,
    encode_columns,
)

FEATURES = (
    Feature(name="carrier", kind="category", categories=("AA", "B6", "UA")),
    Feature(name="temp", kind="number"),
)
CARRIERS = st.sampled_from(["AA", "B6", "UA", "??", None])
NUMBERS = st.one_of(st.none(), st.floats(width=32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as MLflow's xgboost flavour writes it, without MLflow."""
    path = tmp_path_factory.mktemp("model")
    generator = np.random.default_rng(0)
    codes, temps = generator.integers(0, 3, 2000), generator.normal(10, 8, 2000)
    labels = (generator.random(2000) < 1 / (1 + np.exp(-(codes - 1 + temps / 10)))).astype(float)
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=4, n_jobs=1, feature_types=["c", "q"])
    model.fit(np.column_stack([codes, temps]).astype(np.float32), labels)
    model.get_booster().save_model(path / "model.ubj")
    description = ModelDescription(
        features=FEATURES,
        calibration=PlattCalibration(slope=0.9, intercept=-0.1),
        labels=("on_time", "late"),
        model_sha256=hashlib.sha256((path / "model.ubj").read_bytes()).hexdigest(),
    )
    document = {"metadata": {METADATA_KEY: description.model_dump(mode="json")}}
    (path / "MLmodel").write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> ScoringModel:
    return ScoringModel.load(folder)


def test_scores_are_probabilities_with_the_same_bits_alone_and_together(model: ScoringModel) -> None:
    generator = np.random.default_rng(1)
    columns = {
        "carrier": [["AA", "B6", "UA", "XX", None][n] for n in generator.integers(0, 5, 300)],
        "temp": generator.normal(10, 20, 300).tolist(),
    }
    together = model.score(columns)
    alone = [model.score({name: values[row : row + 1] for name, values in columns.items()})[0] for row in range(300)]
    assert ((together > 0) & (together < 1)).all()
    assert together.tobytes() == np.asarray(alone).tobytes()


def test_loading_again_gives_the_same_model(folder: Path, model: ScoringModel) -> None:
    again = ScoringModel.load(folder)
    assert again.content_hash == model.content_hash
    assert again.feature_names == ["carrier", "temp"]
    assert again.labels == ("on_time", "late")


@given(rows=st.lists(st.tuples(CARRIERS, NUMBERS), min_size=1, max_size=20))
def test_unknown_and_missing_become_nan(rows: list[tuple[str | None, float | None]]) -> None:
    matrix = encode_columns(FEATURES, {"carrier": [row[0] for row in rows], "temp": [row[1] for row in rows]})
    assert matrix.dtype == np.float32
    for (carrier, number), (code, value) in zip(rows, matrix.tolist(), strict=True):
        known = FEATURES[0].categories.index(carrier) if carrier in FEATURES[0].categories else None
        assert math.isnan(code) if known is None else code == known
        expected = None if number is None else float(np.float32(number))
        if expected is None or not math.isfinite(expected):
            assert math.isnan(value)
        else:
            assert value == expected


def test_a_missing_column_is_named(model: ScoringModel) -> None:
    with pytest.raises(FeatureError, match=r"1 of the 2 columns .* are missing .*temp"):
        model.score({"carrier": ["AA"]})


def test_what_is_no_number_is_named(model: ScoringModel) -> None:
    with pytest.raises(FeatureError, match=r"'temp' holds what is no number .*'warm'"):
        model.score({"carrier": ["AA"], "temp": ["warm"]})


def test_columns_of_different_length_are_refused(model: ScoringModel) -> None:
    with pytest.raises(FeatureError, match="'temp' has 2 values, 'carrier' has 1"):
        model.score({"carrier": ["AA"], "temp": [1.0, 2.0]})


def test_no_rows_give_no_scores(model: ScoringModel) -> None:
    assert model.score({"carrier": [], "temp": []}).shape == (0,)


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="no model in"):
        ScoringModel.load(tmp_path)


@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": {METADATA_KEY: {"features": []}}}, []])
def test_a_model_of_somebody_else_is_a_clear_error(tmp_path: Path, document: object) -> None:
    (tmp_path / "MLmodel").write_text(json.dumps(document))
    (tmp_path / "model.ubj").write_bytes(b"")
    with pytest.raises(TerminalError, match="does not describe a model that MLForge trained"):
        ScoringModel.load(tmp_path)


def test_trees_cut_short_are_a_clear_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text((folder / "MLmodel").read_text())
    (tmp_path / "model.ubj").write_bytes((folder / "model.ubj").read_bytes()[:100])
    with pytest.raises(TerminalError, match="is not what was trained"):
        ScoringModel.load(tmp_path)


def test_a_regression_is_described_with_its_task() -> None:
    description = ModelDescription(
        features=(Feature(name="temp", kind="number"),), calibration=NoCalibration(), task="regression"
    )
    again = ModelDescription.model_validate(description.model_dump(mode="json"))
    assert again == description
    assert again.labels == ()
