"""A search in a real PostgreSQL: shared, interrupted, resumed, used again."""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

import search_cases
from flight_sources import ask
from mlforge.cli.search import search_app
from mlforge.errors import SpecError, TrainingError
from mlforge.refs import PlannedSearch, TrainingSet
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.search import FeatureSelection, Search
from mlforge.training.search import choose_tuning, plan_search, run_trials, storage, study_trials
from mlforge.training.search.claiming import Desk
from mlforge.training.search.summaries import count_states, read_trials
from processes import wait_until
from search_cases import FEW_TREES, small_training_set, small_use_case

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _fresh(database: Settings) -> None:
    """Each test has a database without any study."""


def states(planned: PlannedSearch) -> dict[str, int]:
    return count_states(read_trials(planned.study))


def searched(use_case: UseCase, training_set: TrainingSet | None = None) -> PlannedSearch:
    return run_trials(use_case, plan_search(use_case, training_set or small_training_set(use_case)))


def test_two_processes_share_a_study_and_together_keep_to_its_budget(database: Settings) -> None:
    use_case = small_use_case(search=Search(trials=6))
    training_set = small_training_set(use_case)
    workers = [search_cases.start_worker(training_set, trials=6) for _ in range(2)]
    told = [worker.communicate(timeout=240) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    (study, first), (other, second) = (out.split() for out, _ in told)
    assert study == other
    assert int(first) + int(second) == 6
    trials = read_trials(study)
    assert [trial.number for trial in trials] == list(range(6))
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert not any(database.secret("postgres_password") in err for _, err in told)
    rows = ask("SELECT table_schema, table_name FROM information_schema.tables")
    assert ("search", "alembic_version") in rows
    assert [name for schema, name in rows if schema == "public"] == ["alembic_version"]


def test_a_trial_whose_worker_is_killed_is_repeated_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(storage, "GRACE_SECONDS", 2)
    use_case = small_use_case(search=Search(trials=6))
    training_set = small_training_set(use_case)
    worker = search_cases.start_worker(training_set, trials=6, heartbeat=(1, 2))
    assert worker.stdout is not None
    planned = plan_search(use_case, training_set).model_copy(update={"study": worker.stdout.readline().strip()})

    def caught_in_a_trial() -> bool:
        os.kill(worker.pid, signal.SIGSTOP)
        # Read without any lock: the worker may have been stopped while it holds one.
        caught = ask("SELECT 1 FROM search.trials WHERE state = 'RUNNING' AND number > 0") != []
        if not caught:
            os.kill(worker.pid, signal.SIGCONT)
        return caught

    try:
        wait_until(caught_in_a_trial, seconds=120)
    finally:
        worker.kill()
        worker.communicate()
    [lost] = [trial for trial in read_trials(planned.study) if trial.state == "running"]
    run_trials(use_case, planned)
    trials = read_trials(planned.study)
    [repeated] = [trial for trial in trials if trial.state == "repeated"]
    assert repeated.number == lost.number
    assert repeated.reason == "its worker was killed"
    assert count_states([trial for trial in trials if trial.state != "repeated"]).keys() <= {"complete", "pruned"}
    assert len(trials) - 1 == 6
    tuning = choose_tuning(use_case, planned)
    assert tuning.rows == 6
    assert study_trials(tuning) == trials


def test_a_finished_search_runs_nothing_more_and_is_as_good_as_the_defaults(
    database: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    use_case = small_use_case()
    training_set = small_training_set(use_case)
    with caplog.at_level(logging.DEBUG):
        planned = plan_search(use_case, training_set)
        assert run_trials(use_case, planned).rows == 6
        assert run_trials(use_case, planned).rows == 0
        tuning = choose_tuning(use_case, planned, run_id="manual__1")
    trials = study_trials(tuning)
    assert trials[0].default
    assert trials[0].parameters == FEW_TREES
    assert len(trials[0].losses) == 3
    assert tuning.value == min(trial.value for trial in trials if trial.state == "complete" and trial.value)
    assert tuning.value <= (trials[0].value or 0)
    assert tuning.parameters["n_estimators"] == 15
    assert tuning.training_set == training_set
    finished = plan_search(use_case, training_set)
    assert finished.finding is not None
    assert run_trials(use_case, finished).rows == 0
    assert choose_tuning(use_case, finished) == choose_tuning(use_case, planned) == tuning
    shown = CliRunner().invoke(search_app, ["show", "flight_delays", "--json"], catch_exceptions=False)
    [study] = json.loads(shown.stdout)
    assert (study["study"], len(study["trials"])) == (planned.study, 6)
    assert study["finding"]["parameters"] == tuning.parameters
    told = CliRunner().invoke(search_app, ["show", "flight_delays", "--trials"], catch_exceptions=False).stdout
    assert "as it was" in told
    assert "max_depth" in told
    other = small_use_case(search=Search(trials=6, seed=1))
    assert plan_search(other, training_set).study != planned.study
    assert database.secret("postgres_password") not in caplog.text + "".join(capfd.readouterr())


def test_a_finding_is_used_again_while_it_is_young_but_never_by_an_older_training_set() -> None:
    use_case = small_use_case(search=Search(trials=1, every_days=3))
    found = choose_tuning(use_case, searched(use_case, small_training_set(use_case, "2013-03-28")))
    young = small_training_set(use_case, "2013-03-30")
    planned = plan_search(use_case, young)
    assert "used again" in planned.note
    assert planned.workers == 1
    assert run_trials(use_case, planned).rows == 0
    again = choose_tuning(use_case, planned)
    assert (again.training_set, again.partition_key) == (young, "2013-03-30")
    assert (again.parameters, again.uri, again.content_hash) == (found.parameters, found.uri, found.content_hash)
    for last in ("2013-03-27", "2013-03-31"):
        assert plan_search(use_case, small_training_set(use_case, last)).finding is None
    changed = small_use_case(search=Search(trials=1, every_days=3), parameters={**FEW_TREES, "max_depth": 2})
    assert plan_search(changed, young).finding is None


def test_a_bad_trial_is_stopped_after_two_folds(tmp_path: Path) -> None:
    space = """
def search_space(trial):
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-6, 0.2, log=True)}
"""
    use_case = small_use_case(tmp_path, space, search=Search(trials=9))
    trials = read_trials(searched(use_case).study)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.losses) == 2 and "median" in trial.reason for trial in pruned)
    assert all(len(trial.losses) == 3 for trial in trials if trial.state == "complete")
    assert all(trial.state == "complete" for trial in trials[:5])


def test_when_its_time_is_up_a_search_has_tried_what_use_case_yaml_says() -> None:
    use_case = small_use_case(search=Search(trials=None, minutes=1e-4))
    planned = searched(use_case)
    [only] = read_trials(planned.study)
    assert (only.state, only.default) == ("complete", True)
    assert run_trials(use_case, planned).rows == 0
    assert choose_tuning(use_case, planned).parameters == FEW_TREES


def test_a_trial_ends_with_the_fold_at_which_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "_seconds_left", lambda _: 1e-6)
    first, *others = read_trials(searched(small_use_case(search=Search(trials=3))).study)
    assert (first.state, len(first.losses)) == ("complete", 3)
    assert [(trial.state, len(trial.losses), trial.reason) for trial in others] == [
        ("pruned", 1, "the search's time is up")
    ] * 2


def test_the_best_of_several_families_is_chosen_under_one_budget() -> None:
    use_case = small_use_case(search=Search(trials=4, families=["own", "lightgbm", "linear"]))
    planned = searched(use_case)
    trials = read_trials(planned.study)
    assert [(trial.family, trial.default) for trial in trials[:3]] == [
        ("own", True),
        ("lightgbm", True),
        ("linear", True),
    ]
    assert len(trials) == 4
    best = min((trial for trial in trials if trial.state == "complete"), key=lambda trial: trial.value or 9)
    tuning = choose_tuning(use_case, planned)
    assert (tuning.family, tuning.parameters, tuning.value) == (best.family, best.parameters, best.value)


def test_a_plan_that_cannot_be_fitted_is_a_failed_trial_with_its_reason(tmp_path: Path) -> None:
    picky = """
_build = build_model


def build_model(params):
    if params["max_depth"] != 3:
        raise ValueError("only a depth of 3")
    return _build(params)
"""
    use_case = small_use_case(tmp_path, picky, search=Search(trials=4))
    planned = searched(use_case)
    trials = read_trials(planned.study)
    assert trials[0].state == "complete"
    assert all("only a depth of 3" in trial.reason for trial in trials if trial.state == "failed")
    assert count_states(trials)["failed"] >= 1
    assert choose_tuning(use_case, planned).parameters == FEW_TREES


def test_when_every_trial_fails_the_error_has_the_reasons(tmp_path: Path) -> None:
    broken = '\n\ndef build_model(params):\n    raise ValueError("no such thing")\n'
    use_case = small_use_case(tmp_path, broken, search=Search(trials=2))
    planned = searched(use_case)
    assert states(planned) == {"failed": 2}
    with pytest.raises(TrainingError, match=r"none of 2 trials .*no such thing") as raised:
        choose_tuning(use_case, planned)
    assert len(raised.value.evidence) == 1


def test_an_empty_space_is_told_before_anything_runs(tmp_path: Path) -> None:
    use_case = small_use_case(tmp_path, "\n\ndef search_space(trial):\n    return {}\n")
    with pytest.raises(SpecError, match=r"empty.*search_space"):
        plan_search(use_case, small_training_set(use_case))


def test_columns_that_earn_nothing_are_left_out_also_without_a_search() -> None:
    use_case = small_use_case(search=None, select_features=FeatureSelection(method="shap", keep=0.9))
    planned = plan_search(use_case, small_training_set(use_case))
    assert (planned.trials, planned.workers) == (1, 1)
    tuning = choose_tuning(use_case, run_trials(use_case, planned))
    assert tuning.parameters == FEW_TREES
    assert 0 < len(tuning.features) < 18
    assert "sched_hour" in tuning.features
    assert choose_tuning(use_case, planned) == tuning
