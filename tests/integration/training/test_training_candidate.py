from __future__ import annotations

import numpy as np
import pytest
import yaml

from flight_examples import make_training_set
from mlforge import training
from mlforge.examples import load_examples, split_by_time
from mlforge.refs import Candidate, TrainingSet
from mlforge.scoring import ScoringModel
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.tracking import download_model, tracking_reachable

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    from mlforge.spec import load_use_case

    loaded = load_use_case("flight_delays")
    return loaded.model_copy(update={"training": loaded.training.model_copy(update={"minimum_rows": 100})})


@pytest.fixture(scope="module")
def training_set(use_case: UseCase, mlflow_server: Settings) -> TrainingSet:
    return make_training_set(use_case)


@pytest.fixture(scope="module")
def candidate(use_case: UseCase, training_set: TrainingSet) -> Candidate:
    trained = training.train_candidate(use_case, training_set, run_id="manual__1")
    return training.evaluate_candidate(use_case, trained)


def test_a_candidate_beats_the_base_rate_on_days_that_it_has_not_seen(candidate: Candidate) -> None:
    base = candidate.baselines["base_rate"]
    assert candidate.metrics["test_log_loss"] < base["log_loss"]
    assert candidate.metrics["test_auc"] > 0.65
    assert base["auc"] == 0.5
    assert set(candidate.baselines) == {"base_rate", "logistic_regression"}


def test_the_run_says_where_it_came_from(candidate: Candidate, training_set: TrainingSet) -> None:
    from mlflow import MlflowClient

    run = MlflowClient().get_run(candidate.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlforge.training_set"] == training_set.uri
    assert run.data.tags["mlforge.training_set_hash"] == training_set.content_hash
    assert run.data.tags["mlforge.publication.flights"] == "1"
    assert run.data.tags["mlforge.orchestrator_run"] == "manual__1"
    assert run.data.params["learning_rate"] == "0.05"
    dataset = run.inputs.dataset_inputs[0].dataset
    assert training_set.content_hash.startswith(dataset.digest)
    for name in ("train_auc", "validation_log_loss", "test_brier", "baseline_logistic_regression_auc"):
        assert name in run.data.metrics
    files = {file.path for file in MlflowClient().list_artifacts(candidate.run_id)}
    assert {"feature_importance.json", "environment.json", "origin.json", "plots"} <= files
    plots = {file.path for file in MlflowClient().list_artifacts(candidate.run_id, "plots")}
    drawn = ("calibration", "roc", "precision_recall", "metric_over_time", "feature_effects")
    assert plots == {f"plots/{name}.png" for name in drawn}


def test_the_model_is_registered_with_signature_and_versions(candidate: Candidate) -> None:
    from mlflow import MlflowClient

    registered = MlflowClient().get_model_version("flight_delays", str(candidate.model_version))
    assert registered.run_id == candidate.run_id
    folder = download_model(candidate.uri)
    document = yaml.safe_load((folder / "MLmodel").read_text())
    assert document["signature"]["inputs"]
    assert document["metadata"]["mlforge"]["labels"] == ["on_time", "late"]
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in requirement for requirement in requirements)
    assert download_model(f"models:/flight_delays/{candidate.model_version}") == folder
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}]


def test_the_downloaded_model_is_the_trained_one(use_case: UseCase, candidate: Candidate) -> None:
    model = ScoringModel.load(download_model(candidate.uri))
    assert model.content_hash == candidate.content_hash
    test = split_by_time(use_case, load_examples(use_case, candidate.training_set))["test"]
    scores = model.score(test.columns(model.feature_names))
    assert np.isfinite(scores).all()


def test_training_again_returns_the_same_candidate(
    use_case: UseCase, training_set: TrainingSet, candidate: Candidate
) -> None:
    again = training.train_candidate(use_case, training_set)
    assert (again.uri, again.run_id, again.model_version) == (candidate.uri, candidate.run_id, candidate.model_version)
    assert again.content_hash == candidate.content_hash
    assert training.evaluate_candidate(use_case, again) == candidate


def test_an_interrupted_attempt_goes_on_in_its_own_run(
    use_case: UseCase, mlflow_server: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from mlforge.training.tracking import run_log

    training_set = make_training_set(use_case, last="2013-03-20", days=40)

    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_log, "register_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            training.train_candidate(use_case, training_set)
    candidate = training.train_candidate(use_case, training_set)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("flight_delays")
    assert experiment is not None
    query = f"tags.`mlforge.training_set_hash` = '{training_set.content_hash}'"
    runs = client.search_runs([experiment.experiment_id], query)
    assert [found.info.run_id for found in runs] == [candidate.run_id]
    assert runs[0].info.status == "FINISHED"


def test_a_model_that_is_gone_is_a_clear_error(mlflow_server: Settings) -> None:
    from mlforge.errors import TerminalError

    assert tracking_reachable()
    with pytest.raises(TerminalError, match="cannot be downloaded"):
        download_model(f"models:/m-{'0' * 32}")
    with pytest.raises(TerminalError, match="cannot be found"):
        download_model("models:/flight_delays/99999")
    with pytest.raises(TerminalError, match="is no address of a model"):
        download_model("runs:/abc/model")
    assert not list((mlflow_server.home / "cache" / "models").glob(".*"))
