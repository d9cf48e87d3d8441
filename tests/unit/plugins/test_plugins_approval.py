"""What the approving person sees, and what becomes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from gate_evidence import gated, make_candidate, make_card, make_evidence, make_labels
from mlforge import storage
from mlforge.refs import GateDecision
from mlforge.settings import Settings
from mlforge_airflow.operators.approval import ApproveCandidateOperator
from mlforge_airflow.operators.registry import approver

LABELS, GOOD = make_labels(2000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Airflow's server would be asked to show: it is the one part that is not there."""
    shown: dict[str, Any] = {}
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: shown.update(detail))
    return shown


def make_decision(*, passed: bool = True) -> GateDecision:
    use_case = gated(maximum_calibration_error=0.5 if passed else 1e-6)
    card = make_card(make_evidence(use_case, LABELS, GOOD, GOOD[::-1].copy()))
    uri, digest = storage.put_bytes("promotion_cards/flight_delays", card.markdown().encode(), ".md")
    return GateDecision(
        use_case="flight_delays", partition_key="2013-04-14", uri=uri, rows=card.rows, content_hash=digest,
        code_version="c", passed=card.passed, reasons=card.reasons, candidate=make_candidate(), champion_release=2,
    )  # fmt: skip


def context() -> Any:
    return {
        "dag_run": SimpleNamespace(dag_id="d", run_id="r", run_type="manual", triggering_user_name="ann"),
        "partition_key": "2013-04-14",
        "params": {"act_live": True},
        "triggering_asset_events": {},
        "task_instance": SimpleNamespace(id="ti"),
        "ti": SimpleNamespace(id="ti"),
    }


def make_operator(decision: GateDecision) -> ApproveCandidateOperator:
    return ApproveCandidateOperator(task_id="approve", use_case="flight_delays", decision=decision.dump())


def test_the_person_sees_the_card_with_verdict_and_figures(installation: Settings, asked: dict[str, Any]) -> None:
    operator = make_operator(make_decision())
    with pytest.raises(TaskAwaitingInput):
        operator.execute(context())
    body = asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert "**Approve** makes version 3 the champion of flight_delays" in body
    assert "**Reject** skips that: the champion stays" in body
    assert "# flight_delays: version 3 passed" in body
    assert "| no worse than the champion | yes | log_loss " in body
    assert "| candidate | champion |" in body
    assert "/#/models/flight_delays/versions/3" in body


def test_what_a_card_quotes_is_never_run_as_a_template(installation: Settings, asked: dict[str, Any]) -> None:
    decision = make_decision()
    uri, digest = storage.put_bytes("promotion_cards/flight_delays", b"{{ 7 * 7 }}", ".md")
    operator = make_operator(decision.model_copy(update={"uri": uri, "content_hash": digest}))
    operator.render_template_fields(context())
    with pytest.raises(TaskAwaitingInput):
        operator.execute(context())
    assert asked["body"].endswith("{{ 7 * 7 }}")


def test_nobody_is_asked_about_a_refused_candidate(installation: Settings, asked: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match="the gate refused the candidate"):
        make_operator(make_decision(passed=False)).execute(context())
    assert asked == {}


def test_a_card_that_is_not_what_was_stored_is_not_shown(installation: Settings, asked: dict[str, Any]) -> None:
    decision = make_decision().model_copy(update={"content_hash": "0" * 64})
    with pytest.raises(AirflowFailException, match="its hash differs"):
        make_operator(decision).execute(context())
    assert asked == {}


def test_the_answer_names_the_person_who_promotes(installation: Settings, asked: dict[str, Any]) -> None:
    answer = {
        "chosen_options": ["Approve"],
        "params_input": {},
        "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "ada"},
    }
    assert approver(make_operator(make_decision()).execute_complete(context(), answer)) == "ada"
