"""A user's own estimator, in ten lines of model.py: fitted, stored without pickle, and scored by another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlforge.errors import TerminalError, TrainingError
from mlforge.examples import Examples
from mlforge.scoring import METADATA_KEY, ScoringModel
from mlforge.scoring.formats import FORMATS
from mlforge.spec import UseCase
from mlforge.training.fitting import FittedModel, fit_model
from mlforge.training.plan import FitPlan
from model_examples import own_use_case, small_examples

OWN = '''
import numpy as np


class NearestCentre:
    """Lateness by the distance to the mean late and the mean punctual flight."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, X, y):
        self.late, self.punctual = X[y == 1].mean(axis=0), X[y == 0].mean(axis=0)
        return self

    def predict_proba(self, X):
        late, punctual = (((X - centre) ** 2).sum(axis=1) ** self.power for centre in (self.late, self.punctual))
        return punctual / (late + punctual)


def build_model(params):
    return NearestCentre(**params)
'''

SCALER = "__import__('sklearn.preprocessing').preprocessing.StandardScaler"
LINEAR = "__import__('sklearn.linear_model').linear_model.LogisticRegression"
AGAIN = """
import json, sys
from pathlib import Path
from mlforge.scoring import ScoringModel
from mlforge.spec.loading import read_use_case
from mlforge.spec.module import load_model_module
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from model_examples import small_examples

use_case = read_use_case(Path(sys.argv[1]))
load_model_module(use_case)
model = ScoringModel.load(Path(sys.argv[2]), ["model.NearestCentre"])
scores = model.score(json.loads(sys.stdin.read())).tolist()
plans = [FitPlan.of(use_case), *(FitPlan(*plan) for plan in json.loads(sys.argv[3]))]
print(json.dumps([scores, [fit_model(use_case, small_examples(), plan).content_hash for plan in plans]]))
"""
PLANS = (
    ("lightgbm", {"n_estimators": 20}),
    ("hist_gradient_boosting", {"max_iter": 20}),
    ("linear", {}),
)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    return own_use_case(tmp_path_factory.mktemp("own"), OWN, trusted_types=["model.NearestCentre"])


@pytest.fixture(scope="module")
def fitted(use_case: UseCase, examples: Examples) -> FittedModel:
    return fit_model(use_case, examples)


def write(folder: Path, fitted: FittedModel) -> Path:
    """Write a model as MLflow lays it out, without MLflow."""
    (folder / FORMATS[fitted.description.format].file).write_bytes(fitted.fitted.content)
    document = {"metadata": {METADATA_KEY: fitted.description.model_dump(mode="json")}}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


def test_another_process_gives_the_same_scores_and_the_same_bytes(
    use_case: UseCase, examples: Examples, fitted: FittedModel, tmp_path: Path
) -> None:
    assert fitted.metrics["validation_auc"] > 0.6
    model = fitted.scoring_model(use_case)
    columns = {name: list(values[:50]) for name, values in examples.columns(model.feature_names).items()}
    asked = {
        name: [None if value is None or value != value else value for value in map(plain, values)]
        for name, values in columns.items()
    }
    hashes = [fit_model(use_case, examples, FitPlan(*plan)).content_hash for plan in PLANS]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(use_case.folder), str(write(tmp_path, fitted)), json.dumps(PLANS)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    scores, again = json.loads(done.stdout)
    assert np.array(scores).tobytes() == model.score(columns).tobytes()
    assert again == [fitted.content_hash, *hashes]


def plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def test_nothing_in_the_file_is_a_pickle(fitted: FittedModel, tmp_path: Path) -> None:
    folder = write(tmp_path, fitted)
    with zipfile.ZipFile(folder / "model.skops") as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".json", ".npy", ".npz"}
        assert all(not archive.read(name).startswith(b"\x80") for name in archive.namelist())


def test_a_class_that_is_not_trusted_is_named(tmp_path: Path, examples: Examples, fitted: FittedModel) -> None:
    with pytest.raises(TerminalError, match=r"not trusted \(model\.NearestCentre\) .*trusted_types: \[model\.Nearest"):
        fit_model(own_use_case(tmp_path, OWN), examples)
    with pytest.raises(TerminalError, match=r"1 types that are not trusted \(model\.NearestCentre\)"):
        ScoringModel.load(write(tmp_path, fitted))


def test_a_class_that_is_gone_is_a_clear_error(fitted: FittedModel, use_case: UseCase) -> None:
    content = fitted.fitted.content
    from mlforge.spec.module import load_model_module

    module = load_model_module(use_case)
    kept = module.NearestCentre
    del module.NearestCentre
    try:
        with pytest.raises(TerminalError, match=r"model\.skops cannot be read .*must still be there"):
            FORMATS["sklearn"].load(content, ["model.NearestCentre"])
    finally:
        module.NearestCentre = kept


def test_what_cannot_be_stored_without_pickle_is_said(tmp_path: Path, examples: Examples) -> None:
    for number, (kept, error, said) in enumerate(
        [
            ("open('/dev/null')", TrainingError, "cannot be stored without pickle"),
            ("lambda x: x", TerminalError, r"model\.<lambda>.*keep plain values and arrays"),
        ]
    ):
        keeps = OWN.replace("return self\n", f"self.kept = {kept}\n        return self\n")
        (tmp_path / str(number)).mkdir()
        use_case = own_use_case(tmp_path / str(number), keeps, trusted_types=["model.NearestCentre"])
        with pytest.raises(error, match=said):
            fit_model(use_case, examples)


def test_an_estimator_without_scores_is_refused(tmp_path: Path, examples: Examples) -> None:
    without = OWN.replace("def predict_proba", "def guess")
    with pytest.raises(TerminalError, match="neither predict_proba nor decision_function"):
        fit_model(own_use_case(tmp_path, without, trusted_types=["model.NearestCentre"]), examples)


@pytest.mark.parametrize(
    ("imported", "built", "trusted"),
    [
        ("sklearn.naive_bayes", "GaussianNB()", []),
        ("sklearn.svm", "LinearSVC()", []),
        ("sklearn.pipeline", f"make_pipeline({SCALER}(), {LINEAR}())", []),
        ("sklearn.ensemble", "RandomForestClassifier(n_estimators=10, max_depth=5)", ["sklearn.tree._tree.Tree"]),
    ],
)
def test_estimators_of_scikit_learn_are_fitted_as_they_are(
    tmp_path: Path, examples: Examples, imported: str, built: str, trusted: list[str]
) -> None:
    name = built.partition("(")[0]
    model = f"def build_model(params):\n    from {imported} import {name}\n    return {built}\n"
    use_case = own_use_case(tmp_path, model, trusted_types=trusted)
    fitted = fit_model(use_case, examples)
    assert fitted.metrics["validation_auc"] > 0.55
    assert fit_model(use_case, examples).content_hash == fitted.content_hash
