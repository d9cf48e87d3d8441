from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest

from mlforge.errors import TerminalError
from mlforge.examples import Examples
from mlforge.scoring import FORMATS, Feature, Matrix
from mlforge.scoring.formats.histogram_trees import HistogramTrees
from mlforge.scoring.formats.linear_columns import LinearColumns
from mlforge.training.estimators.archive import archive
from mlforge.training.fitting import FittedModel, fit_model
from mlforge.training.plan import FitPlan
from mlforge.training.preparation import prepared_columns
from model_examples import small_examples, small_flights


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


@pytest.fixture(scope="module")
def histogram(examples: Examples) -> FittedModel:
    return fit_model(small_flights(), examples, FitPlan("hist_gradient_boosting", {"max_iter": 60}))


def matrix(fitted: FittedModel, examples: Examples) -> Matrix:
    model = fitted.scoring_model(small_flights())
    rows = model.encode(examples.columns(model.feature_names))[:400]
    rows[::5, 0], rows[::7, 3] = np.nan, np.nan
    return rows


def test_histogram_trees_give_the_bits_of_scikit_learn(histogram: FittedModel, examples: Examples) -> None:
    rows = matrix(histogram, examples)
    trees = histogram.scoring_model(small_flights()).predictor
    assert isinstance(trees, HistogramTrees)
    expected = histogram.fitted.estimator.decision_function(rows)
    assert trees.raw_scores(rows, "classification").tobytes() == expected.tobytes()
    few = np.concatenate([trees.raw_scores(rows[at : at + 1], "classification") for at in range(100)])
    assert few.tobytes() == expected[:100].tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [("left", 10_000), ("right", 0), ("feature_idx", 99), ("feature_idx", -1), ("bitset_idx", 4_000)],
)
def test_a_tree_that_points_beyond_its_bounds_is_refused(histogram: FittedModel, field: str, value: int) -> None:
    estimator = copy.deepcopy(histogram.fitted.estimator)
    nodes = estimator._predictors[0][0].nodes
    inner = np.flatnonzero((nodes["is_leaf"] == 0) & ((field != "bitset_idx") | (nodes["is_categorical"] != 0)))
    nodes[field][inner[0]] = value
    with pytest.raises(TerminalError, match="points beyond its nodes or columns"):
        FORMATS["sklearn"].load(archive(estimator))


@pytest.mark.parametrize("format_", ["lightgbm", "sklearn", "xgboost"])
@pytest.mark.parametrize("content", [b"", b"tree", b"\x80\x04\x95", b"PK\x03\x04nothing"])
def test_what_is_no_model_is_a_clear_error(format_: str, content: bytes) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        FORMATS[format_].load(content)  # type: ignore[index]


def test_an_archive_cut_short_is_a_clear_error(histogram: FittedModel) -> None:
    with pytest.raises(TerminalError, match=r"model\.skops cannot be read"):
        FORMATS["sklearn"].load(histogram.fitted.content[:-200])


@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("rare", [1, 300])
def test_linear_columns_give_the_score_of_scikit_learn(rare: int, gaps: bool) -> None:
    """With gaps, categories that are rare and categories that fitting has not seen."""
    from sklearn.linear_model import LogisticRegression, Ridge

    generator = np.random.default_rng(0)
    rows = np.column_stack(
        [
            generator.choice([0, 1, 2, 3, np.nan], 2000, p=[0.4, 0.3, 0.2, 0.05, 0.05]),
            generator.normal(5, 3, 2000),
            generator.choice([0, 1], 2000),
            generator.normal(0, 1, 2000),
        ]
    ).astype(np.float32)
    rows[::6, 1] = np.nan
    if not gaps:
        rows[:, 0] = np.nan_to_num(rows[:, 0])
    labels = (generator.random(2000) < 0.3 + 0.2 * (rows[:, 2] == 1)).astype(float)
    features = [
        Feature(name="a", kind="category", categories=("w", "x", "y", "z")),
        Feature(name="b", kind="number"),
        Feature(name="c", kind="category", categories=("n", "o")),
        Feature(name="d", kind="number"),
    ]
    columns = prepared_columns(features)
    columns.set_params(categories__min_frequency=rare)
    known = columns.fit_transform(rows)
    asked = rows.copy()
    asked[::3, 0] = np.nan
    for model in (LogisticRegression(), Ridge()):
        model.fit(known, labels)
        linear = LinearColumns.of(columns, model)
        assert linear is not None
        assert linear.n_features == 4
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            read = columns.transform(asked)
        expected = model.decision_function(read) if isinstance(model, LogisticRegression) else model.predict(read)
        assert linear.raw_scores(asked, "classification") == pytest.approx(expected, abs=1e-5)


def test_mlflow_writes_the_bytes_that_are_kept(tmp_path: Path, examples: Examples) -> None:
    import mlflow.lightgbm

    fitted = fit_model(small_flights(), examples, FitPlan("lightgbm", {"n_estimators": 60})).fitted
    assert fitted.rounds is not None
    assert fitted.rounds < 60
    mlflow.lightgbm.save_model(fitted.estimator, tmp_path / "model", pip_requirements=["lightgbm"])
    assert (tmp_path / "model" / "model.lgb").read_bytes() == fitted.content
