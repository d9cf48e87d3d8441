"""Whether the gate has decided about the newest due partition by `retraining.deadline`, and the alert if not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg

from mlforge import db
from mlforge.db.alerts import raise_alert
from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.spec import UseCase
from mlforge.training.requests import Answer, read_requests

ALERT = "no decision"

_DECISION = """
SELECT decision.passed, decision.model_version, decision.decided_at, decision.run_id, decision.reasons, release.who
FROM ledger.gate_decisions AS decision
LEFT JOIN ledger.releases AS release ON release.decision_id = decision.decision_id
WHERE decision.use_case = %(use_case)s
    AND (decision.partition_key = %(key)s OR decision.partition_key LIKE '%%..' || %(key)s)
ORDER BY decision.decision_id DESC LIMIT 1
"""
_PUBLISHED = """
SELECT max(partition_key), coalesce(bool_or(partition_key = %(key)s), false) FROM ledger.publications
WHERE use_case = %(use_case)s AND partition_key <> %(static)s
"""


@dataclass(frozen=True)
class DeadlineCheck:
    """What became of a partition by its deadline.

    Attributes:
        kept: Whether nothing is wrong: there is a decision, or none is due.
        why: Who decided what and when, why no decision is due, or what is missing.
        raised: Whether an alert is new.
    """

    partition_key: str
    kept: bool
    why: str
    raised: bool = False


def due_partition(use_case: UseCase, moment: dt.datetime) -> PartitionRange | None:
    """Return the newest partition whose deadline has passed at a moment; none before the first one's.

    A schedule that has ended has no later one than its last.
    """
    newest, step = moment.astimezone(dt.UTC).date(), dt.timedelta(days=use_case.schedule.step_days)
    day = use_case.schedule.first_day_of(min(newest, use_case.last_day or newest))
    while day >= use_case.schedule.start:
        days = PartitionRange(day, day, use_case.schedule.step_days)
        deadline = use_case.retraining.decided_by(days.end)
        if deadline is None:
            return None
        if deadline <= moment:
            return days
        day -= step
    return None


def check_deadline(use_case: UseCase, days: PartitionRange, *, run_id: str | None = None) -> DeadlineCheck:
    """Look up whether the gate has decided about a partition, and raise a critical alert if it should have.

    Nothing is wrong when no training was asked for because nothing has changed or nothing gave cause for one, or
    before the use case has published its first partition.
    """
    found = look_for_decision(use_case, days)
    if found.kept:
        return found
    key, why = found.partition_key, found.why
    deadline = use_case.retraining.decided_by(days.end)
    detail = {"deadline": deadline.isoformat() if deadline else None, "why": why}
    raised = raise_alert(use_case.name, key, severity="critical", what=ALERT, detail=detail, run_id=run_id)
    return DeadlineCheck(key, False, why, raised)


def look_for_decision(use_case: UseCase, days: PartitionRange) -> DeadlineCheck:
    """Look up the same as `check_deadline`, and raise no alert."""
    with db.connect() as connection:
        kept, why = _look(connection, use_case.name, days.last_key)
    return DeadlineCheck(days.last_key, kept, why)


def _look(connection: psycopg.Connection[Any], use_case: str, key: str) -> tuple[bool, str]:
    values = {"use_case": use_case, "key": key, "static": STATIC_KEY}
    decision = connection.execute(_DECISION, values).fetchone()
    if decision is not None:
        return True, _decided(*decision)
    answers = read_requests(connection, use_case, key)
    if answers:
        return _judge(key, answers)
    newest, published = connection.execute(_PUBLISHED, values).fetchone() or (None, False)
    if newest is None:
        return True, "nothing is published yet, so no decision is due"
    if published:
        return False, f"{key} is published, but the data run has not come to ask for a training"
    return False, f"the data run has not come through: {key} is not published, the newest partition is {newest}"


def _judge(key: str, answers: list[Answer]) -> tuple[bool, str]:
    """Return whether there need be no decision, by what was answered to those who might have asked for a training."""
    asked = next((answer for answer in answers if answer.asked), None)
    if asked is not None:
        return False, (
            f"a training as of {key} was asked for at {asked.requested_at:%Y-%m-%d %H:%M} UTC by"
            f" {asked.run_id or asked.who}; its gate has not decided"
        )
    quiet = all(answer.verdict != "not_live" for answer in answers)
    return quiet, f"no training was asked for: {'; '.join(dict.fromkeys(answer.reason for answer in answers))}"


def _decided(
    passed: bool, version: int, decided_at: dt.datetime, run_id: str | None, reasons: list[str], who: str | None
) -> str:
    verdict = "passed" if passed else f"refused ({'; '.join(reasons) or 'no reason given'})"
    by = f", in {run_id}" if run_id else ""
    promoted = f"; promoted by {who}" if who else ""
    return f"the gate {verdict} version {version} at {decided_at:%Y-%m-%d %H:%M} UTC{by}{promoted}"
