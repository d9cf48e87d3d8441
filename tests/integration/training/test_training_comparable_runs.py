"""Runs of a use case say the same things under the same names, whatever library fitted the model."""

from __future__ import annotations

from typing import Any

import pytest

from flight_examples import make_training_set
from mlforge import training
from mlforge.models import load_model
from mlforge.refs import Candidate, TrainingSet, Tuning
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge.training import train as train_module
from mlforge.training.search import TrialSummary

pytestmark = pytest.mark.integration

NAME = "compared_delays"
PLANS: dict[str, dict[str, Any]] = {
    "own": {"n_estimators": 12, "learning_rate": 0.2},
    "lightgbm": {"num_iterations": 9, "learning_rate": 0.3},
    "hist_gradient_boosting": {"max_iter": 8, "l2_regularization": 1.0},
    "linear": {"C": 0.5},
}
EVALUATED = ("own", "linear")
TRIALS = [
    TrialSummary(0, "complete", "own", {"max_depth": 3}, 0.51, (0.5, 0.52), 2.0),
    TrialSummary(1, "pruned", "lightgbm", {"num_leaves": 7}, 0.6, (0.6,), 0.5, "worse than the median"),
    TrialSummary(2, "failed", "own", {"max_depth": -1}, None, (), 0.1, "max_depth is no depth"),
    TrialSummary(3, "running", "own", {"max_depth": 4}),
]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    loaded = load_use_case("flight_delays")
    changed = loaded.training.model_copy(update={"minimum_rows": 100})
    return loaded.model_copy(update={"name": NAME, "training": changed})


@pytest.fixture(scope="module")
def training_set(use_case: UseCase, mlflow_server: Settings) -> TrainingSet:
    return make_training_set(use_case, last="2013-02-20", days=30)


def _tuning(training_set: TrainingSet, family: str) -> Tuning:
    return Tuning(
        **training_set.model_dump(include={"use_case", "partition_key", "rows", "content_hash", "code_version"}),
        uri="study:compared",
        training_set=training_set,
        family=family,
        parameters=PLANS[family],
    )


@pytest.fixture(scope="module")
def candidates(use_case: UseCase, training_set: TrainingSet, module_database: Settings) -> dict[str, Candidate]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "study_trials", lambda tuning: TRIALS)
        trained = {name: training.train_candidate(use_case, _tuning(training_set, name)) for name in PLANS}
    return trained | {name: training.evaluate_candidate(use_case, trained[name]) for name in EVALUATED}


def _run(candidate: Candidate) -> Any:
    from mlflow import MlflowClient

    return MlflowClient().get_run(candidate.run_id)


def test_every_family_is_stored_in_its_own_format_and_read_back_the_same(
    use_case: UseCase, candidates: dict[str, Candidate]
) -> None:
    import mlflow
    import yaml

    from mlforge.tracking import download_model

    flavours = {"own": "xgboost", "lightgbm": "lightgbm", "hist_gradient_boosting": "sklearn", "linear": "sklearn"}
    for name, candidate in candidates.items():
        assert load_model(use_case, candidate.uri).content_hash == candidate.content_hash
        folder = download_model(candidate.uri)
        document = yaml.safe_load((folder / "MLmodel").read_text())
        assert set(document["flavors"]) == {flavours[name], "python_function"}
        assert document["signature"]["inputs"]
        assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}]
    # The flavours of MLflow that need no code of ours read what it was given.
    assert mlflow.lightgbm.load_model(candidates["lightgbm"].uri).num_trees() > 0
    assert mlflow.xgboost.load_model(candidates["own"].uri).num_boosted_rounds() > 0


def test_runs_have_the_same_names_whatever_the_family(candidates: dict[str, Candidate]) -> None:
    runs = {name: _run(candidate) for name, candidate in candidates.items()}
    own, linear = ({each for each in runs[name].data.metrics if each != "fit_validation_loss"} for name in EVALUATED)
    assert own == linear
    assert {"train_log_loss", "test_log_loss", "baseline_base_rate_log_loss"} <= own
    names = set(runs["own"].data.params)
    assert {name: set(run.data.params) - names for name, run in runs.items()} == {
        "own": set(),
        "lightgbm": set(),
        "hist_gradient_boosting": set(),
        "linear": {"C"},
    }
    assert {run.data.params["n_estimators"] for run in runs.values()} == {"12", "9", "8", "not set"}
    assert runs["hist_gradient_boosting"].data.params["reg_lambda"] == "1.0"
    assert runs["lightgbm"].data.params["library"] == "lightgbm"


def test_a_run_says_what_it_was_made_from_and_what_it_cost(candidates: dict[str, Candidate]) -> None:
    candidate = candidates["own"]
    run = _run(candidate)
    tags = run.data.tags
    assert {kind: tags[f"mlforge.fingerprint.{kind}"] for kind in candidate.fingerprints} == candidate.fingerprints
    assert {"contracts", "features", "settings", "model", "plan", "library", "lock", "python", "platform"} == set(
        candidate.fingerprints
    )
    assert run.data.metrics["system/fit_seconds"] > 0
    assert run.data.metrics["system/fit_peak_memory_megabytes"] > 50
    parts = {each.dataset.name: each.tags[0].value for each in run.inputs.dataset_inputs}
    assert parts == {
        f"{NAME} as of 2013-02-21": "training",
        f"{NAME} as of 2013-02-21, test days": "evaluation",
    }


def test_trials_are_runs_below_the_first_that_used_them_and_logged_once(candidates: dict[str, Candidate]) -> None:
    from mlflow import MlflowClient

    client, first = MlflowClient(), _run(candidates["own"])
    children = client.search_runs(
        [first.info.experiment_id], "tags.`mlforge.trial` LIKE '%'", order_by=["tags.`mlforge.trial`"]
    )
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [first.info.run_id] * 3
    assert [child.info.status for child in children] == ["FINISHED", "KILLED", "FAILED"]
    assert children[0].data.metrics["trial_loss"] == 0.51
    assert children[1].data.params["max_leaves"] == "7"
    assert children[2].data.tags["mlforge.trial_reason"] == "max_depth is no depth"
    assert _run(candidates["linear"]).data.tags["mlforge.study"] == "study:compared"


def test_scores_that_are_logged_again_are_no_second_point(use_case: UseCase, candidates: dict[str, Candidate]) -> None:
    from mlflow import MlflowClient

    again = training.evaluate_candidate(use_case, candidates["own"])
    assert again == candidates["own"]
    assert len(MlflowClient().get_metric_history(again.run_id, "test_log_loss")) == 1
