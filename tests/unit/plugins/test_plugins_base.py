"""What every operator shares."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from mlforge.errors import ContractError, ServiceUnavailableError
from mlforge.refs import PublishedPartition, Ref
from mlforge.stages import StageRun
from mlforge_airflow.links import model_version_url
from mlforge_airflow.operators.base import StageOperator
from mlforge_airflow.operators.registry import PromoteCandidateOperator, approver
from mlforge_airflow.operators.retry import LONGEST_DELAY, BackoffWithJitter


class EchoPartitionOperator(StageOperator):
    """Returns a ref of its run, or raises."""

    effect = "partition"

    def __init__(self, *, error: Exception | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def run_stage(self, run: StageRun) -> Ref:
        if self.error is not None:
            raise self.error
        return PublishedPartition(
            use_case=run.use_case.name, partition_key=run.days.key, uri="u", rows=1, content_hash="h", code_version="c",
            dataset="flights", rows_quarantined=0, rows_duplicate=0, changed=1,
        )  # fmt: skip


class EchoLiveOperator(EchoPartitionOperator):
    """Acts live."""

    effect = "live"


class Events(dict[Any, Any]):
    """Outlet events, made when asked for, as Airflow does."""

    def __missing__(self, key: Any) -> Any:
        event = SimpleNamespace(extra={}, keys=[])
        event.add_partitions = event.keys.append
        self[key] = event
        return event


@pytest.fixture(autouse=True)
def _outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


def context(key: str | None = "2013-04-01", run_type: str = "manual", **params: Any) -> Any:
    dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type=run_type, triggering_user_name=None)
    return {
        "dag_run": dag_run,
        "partition_key": key,
        "params": params,
        "triggering_asset_events": {},
        "outlet_events": Events(),
    }


def test_a_stage_returns_its_ref_as_json_values() -> None:
    value = EchoPartitionOperator(task_id="t", use_case="flight_delays").execute(context())
    assert value is not None
    assert PublishedPartition.load(value).partition_key == "2013-04-01"


def test_an_operator_without_effect_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="declares no effect"):
        type("MuteOperator", (EchoPartitionOperator,), {})


def test_a_terminal_error_never_retries() -> None:
    operator = EchoPartitionOperator(task_id="t", use_case="flight_delays", error=ContractError("broken", hint="mend"))
    with pytest.raises(AirflowFailException, match="broken → mend"):
        operator.execute(context())


def test_a_retryable_error_passes() -> None:
    error = ServiceUnavailableError("gone")
    with pytest.raises(ServiceUnavailableError):
        EchoPartitionOperator(task_id="t", use_case="flight_delays", error=error).execute(context())


def test_a_wrong_key_and_a_wrong_use_case_never_retry() -> None:
    with pytest.raises(AirflowFailException, match="is no day"):
        EchoPartitionOperator(task_id="t", use_case="flight_delays").execute(context("soon"))
    with pytest.raises(AirflowFailException, match="did you mean 'flight_delays'"):
        EchoPartitionOperator(task_id="t", use_case="flight_delay").execute(context())


def test_a_live_task_is_skipped_in_a_backfill_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    operator = EchoLiveOperator(task_id="t", use_case="flight_delays")
    with caplog.at_level("INFO"), pytest.raises(AirflowSkipException, match="part of a backfill"):
        operator.execute(context(run_type="backfill"))
    assert "skipped: 2013-04-01 is part of a backfill" in caplog.text


def test_a_live_task_acts_when_a_person_said_so() -> None:
    operator = EchoLiveOperator(task_id="t", use_case="flight_delays")
    assert operator.execute(context(run_type="backfill", act_live=True)) is not None


def test_events_carry_what_listeners_need() -> None:
    asset = Asset(name="a", uri="mlforge://flight_delays/a")
    operator = EchoPartitionOperator(task_id="t", use_case="flight_delays", outlets=[asset])
    given = context(None, "backfill", **{"from": "2013-01-01", "to": "2013-01-03"})
    operator.execute(given)
    event = given["outlet_events"][asset]
    assert event.extra == {
        "partitions": "2013-01-01..2013-01-03", "backfill": True, "act_live": False, "who": "schedule",
        "scheduled": False,
    }  # fmt: skip
    assert event.keys == ["2013-01-03"]


def test_a_task_says_in_airflow_what_it_does_and_how() -> None:
    operator = EchoLiveOperator(task_id="t", use_case="flight_delays")
    assert operator.doc_md is not None
    assert operator.doc_md.startswith("Acts live.")
    assert "**Effect: live.**" in operator.doc_md


def decision(*, passed: bool) -> dict[str, Any]:
    base = {"use_case": "flight_delays", "partition_key": "2013-04-01", "uri": "u", "rows": 1, "content_hash": "h",
            "code_version": "c"}  # fmt: skip
    training_set = {**base, "as_of": "2013-04-02T00:00:00Z", "feature_service": "f", "publications": {}}
    candidate = {**base, "run_id": "r", "model_name": "m", "model_version": 1, "training_set": training_set,
                 "metrics": {}, "baselines": {}}  # fmt: skip
    reasons = ["log_loss is 0.01 worse"]
    return {**base, "passed": passed, "reasons": reasons, "candidate": candidate, "champion_release": None}


def test_a_refused_candidate_is_not_promoted_and_the_log_names_the_reasons(caplog: pytest.LogCaptureFixture) -> None:
    operator = PromoteCandidateOperator(task_id="promote", use_case="flight_delays", decision=decision(passed=False))
    with caplog.at_level("INFO"), pytest.raises(AirflowSkipException):
        operator.execute(context(act_live=True))
    assert "the gate refused the candidate: log_loss is 0.01 worse" in caplog.text


def test_an_approval_names_its_person() -> None:
    assert approver({"responded_by_user": {"id": "1", "name": "ada"}}) == "ada"
    assert approver(None) is None


def test_delays_double_with_jitter_up_to_a_limit() -> None:
    policy = BackoffWithJitter()
    for attempt, seconds in ((1, 10), (2, 20), (3, 40), (99, LONGEST_DELAY.total_seconds())):
        delay = policy.evaluate(ServiceUnavailableError("gone"), attempt, 3).retry_delay
        assert delay is not None
        assert timedelta(seconds=seconds * 0.5) <= delay <= timedelta(seconds=seconds * 1.51)
    assert policy.evaluate(ContractError("broken"), 1, 3).action is RetryAction.FAIL


def test_the_button_leads_to_the_model_version() -> None:
    assert model_version_url(decision(passed=True)).endswith("/#/models/m/versions/1")
    assert model_version_url({"model_name": "m", "model_version": 2}).endswith("/#/models/m/versions/2")
    assert "models" not in model_version_url(None)
