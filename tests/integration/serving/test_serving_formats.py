"""Models of other libraries than XGBoost, packaged and served: the same answers as offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from serving_parts import Caller, add_release, model_uri, states

from mlforge.refs import Release
from mlforge.scoring import FORMATS, METADATA_KEY
from mlforge.serving import demo_key, package_release, roll_out_release, verify_release
from mlforge.serving.bento import bento_path
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from model_examples import own_use_case, small_examples

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

OWN = '''
class Shares:
    """Lateness by carrier and hour: the share of late flights among those most alike."""

    def fit(self, X, y):
        self.X, self.y = X[:500], y[:500]
        return self

    def predict_proba(self, X):
        import numpy as np

        near = np.exp(-((X[:, None, :] - self.X[None, :, :]) ** 2).sum(axis=2))
        return (near @ self.y + 0.2) / (near.sum(axis=1) + 1)


def build_model(params):
    return Shares()
'''
COLUMNS = ("carrier", "origin", "dest", "sched_hour", "weekday")
FORMAT = {"lightgbm": "lightgbm", "own": "sklearn"}


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    """flight_delays with an estimator of its own; the gateway's fixture takes it too."""
    own = own_use_case(
        tmp_path_factory.mktemp("own"), OWN, name="flight_delays", trusted_types=["model.Shares"], test_days=5
    )
    quick = own.model_copy(update={"rollout": own.rollout.model_copy(update={"drain_seconds": 0.2})})
    quick._folder, quick._contracts = own._folder, own._contracts
    return quick


def writes(use_case: UseCase, family: str) -> Callable[[int], Path]:
    """Return what writes a fitted model to where `download_model` keeps what it has."""

    def write(number: int) -> Path:
        parameters = {"n_estimators": 30} if family == "lightgbm" else {}
        fitted = fit_model(use_case, small_examples(), FitPlan(family, parameters, COLUMNS))
        folder = get_settings().home / "cache" / "models" / model_uri(number).removeprefix("models:/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FORMATS[fitted.description.format].file).write_bytes(fitted.fitted.content)
        document = {"metadata": {METADATA_KEY: fitted.description.model_dump(mode="json")}}
        (folder / "MLmodel").write_text(yaml.safe_dump(document), encoding="utf-8")
        return folder

    return write


def released(use_case: UseCase, family: str, number: int) -> Release:
    release = package_release(use_case, add_release(use_case, number, writes(use_case, family)))
    # Offline scores of real rows are compared with the server's.
    return verify_release(use_case, release)


@pytest.mark.parametrize(("family", "number"), [("lightgbm", 41), ("own", 42)])
def test_a_model_is_served_as_it_scores_offline(gateway: Settings, use_case: UseCase, family: str, number: int) -> None:
    release = released(use_case, family, number)
    pins = (bento_path(release.bento) / "src" / "requirements.txt").read_text()
    assert ("lightgbm==" in pins, "skops==" in pins, "xgboost==" in pins) == (
        family == "lightgbm",
        family == "own",
        False,
    )
    roll_out_release(use_case, release)
    assert states(release.release_id)[-1] == "live"
    answer = Caller(demo_key()).predict()
    assert answer.status_code == 200, answer.text
    assert answer.json()["release"] == release.release_id
    assert 0 < answer.json()["probability"] < 1
