"""Asking for a training: by a new partition, by drift, or by a person; each asking, and each not asking, is a row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from mlforge import db
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.training.inputs import changed_inputs, inputs_hash, training_inputs

log = logging.getLogger(__name__)

Cause = Literal["partition", "drift", "person"]
Verdict = Literal["asked", "unchanged", "already", "off", "no_cause", "not_live"]

_LAST = """
SELECT request.inputs, request.run_id, request.requested_at, EXISTS (
    SELECT FROM ledger.gate_decisions AS decision
    WHERE decision.use_case = request.use_case AND decision.decided_at > request.requested_at
        AND (decision.partition_key = request.partition_key
             OR decision.partition_key LIKE '%%..' || request.partition_key)
) AS decided
FROM ledger.training_requests AS request
WHERE request.use_case = %(use_case)s AND request.partition_key = %(partition_key)s AND request.asked
ORDER BY request.request_id DESC LIMIT 1
"""
_INSERT = """
INSERT INTO ledger.training_requests
    (use_case, partition_key, cause, verdict, reason, inputs, inputs_hash, who, run_id)
VALUES (%(use_case)s, %(partition_key)s, %(cause)s, %(verdict)s, %(reason)s, %(inputs)s, %(inputs_hash)s, %(who)s,
    %(run_id)s)
"""
_REQUESTS = """
SELECT cause, verdict, reason, partition_key, who, run_id, requested_at FROM ledger.training_requests
WHERE use_case = %(use_case)s AND (%(partition_key)s::text IS NULL OR partition_key = %(partition_key)s)
ORDER BY request_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Wish:
    """Who might want a training, and why.

    Attributes:
        cause: `partition` or `drift`; `person` for one who started the training itself.
        helps: Whether a training helps against the cause.
        why: The cause in words, or why a training does not help.
        obstacle: Why this run must not touch what is live; empty when it may.
        insists: Whether a person said that it shall be asked for whatever has changed.
        by_hand: Whether a person started the run.
        who: The person, or `schedule`.
        run_id: `dag/run`.
    """

    cause: Cause
    helps: bool = True
    why: str = ""
    obstacle: str = ""
    insists: bool = False
    by_hand: bool = False
    who: str = "schedule"
    run_id: str | None = None


@dataclass(frozen=True)
class LastAsked:
    """The last training as of the same partition that was asked for.

    Attributes:
        inputs: What it was made of.
        run_id: The run that asked.
        at: When, UTC.
        decided: Whether the gate has made a decision for the partition since.
    """

    inputs: dict[str, str]
    run_id: str | None
    at: datetime
    decided: bool


@dataclass(frozen=True)
class Answer:
    """Whether a training is asked for, and why or why not.

    Attributes:
        cause: That of the wish; `person` when one insisted.
        partition_key: As of which partition; like the rest empty for one that is not written down.
        who: Person or schedule behind the run.
        run_id: `dag/run`.
        requested_at: When it was written down, UTC.
    """

    cause: Cause
    verdict: Verdict
    reason: str
    partition_key: str = ""
    who: str = ""
    run_id: str | None = None
    requested_at: datetime | None = field(default=None, compare=False)

    @property
    def asked(self) -> bool:
        """Whether a training is asked for."""
        return self.verdict == "asked"

    @property
    def may_be_forced(self) -> bool:
        """Whether it is asked for when a person insists; drift that is not there is no cause even so."""
        return not (self.cause == "drift" and self.verdict in ("off", "no_cause"))


def request_training(use_case: UseCase, days: PartitionRange, wish: Wish) -> Answer:
    """Decide whether a training as of the newest of some days is asked for, and write the answer down.

    Of two that ask for the same partition at once, one waits for the other and sees its answer.
    """
    with db.connect() as connection:
        db.lock_partition(connection, use_case.name, "training request", days.last_key)
        inputs = training_inputs(connection, use_case, days)
        last = _last_asked(connection, use_case.name, days.last_key)
        answer = decide(wish, use_case.retraining.on, inputs, last)
        _write(connection, use_case.name, inputs, wish, answer)
    log.info("%s %s: %s, %s", use_case.name, days.last_key, answer.verdict, answer.reason)
    return answer


def decide(wish: Wish, causes: Sequence[str], inputs: dict[str, str], last: LastAsked | None) -> Answer:
    """Return whether a training is asked for.

    Args:
        wish: Who wants it.
        causes: `retraining.on` of the use case.
        inputs: What it would be made of, with its partition as `as of`.
        last: The last training as of the same partition that was asked for; none when there was none.
    """
    if wish.cause == "drift" or (wish.cause == "partition" and not wish.insists):
        # Who insists in monitoring wants its alerts of an old partition; drift that is not there is no cause even so.
        if wish.cause not in causes:
            return Answer(wish.cause, "off", f"`retraining.on` in use_case.yaml does not name {wish.cause!r}")
        if not wish.helps:
            return Answer(wish.cause, "no_cause", wish.why or "a training does not help against it")
    if wish.obstacle:
        return Answer(wish.cause, "not_live", wish.obstacle)
    if wish.insists or wish.cause == "person":
        return Answer("person", "asked", f"{wish.who} wants it{': ' if wish.why else ''}{wish.why}")
    if last is None:
        return Answer(wish.cause, "asked", wish.why or f"{inputs['as of']} is new")
    return _decide_again(wish, inputs, last)


def _decide_again(wish: Wish, inputs: dict[str, str], last: LastAsked) -> Answer:
    """Return whether a training is asked for once more as of the same partition."""
    key, since = inputs["as of"], f"{last.at:%Y-%m-%d %H:%M} UTC"
    if not last.decided and _is_the_same(wish, last):
        return Answer(wish.cause, "asked", f"the training that was asked for at {since} came to no decision")
    changed = changed_inputs(last.inputs, inputs)
    if changed and wish.cause == "partition":
        return Answer(wish.cause, "asked", f"changed since the training as of {key} of {since}: {', '.join(changed)}")
    if not last.decided:
        return Answer(
            wish.cause, "already", f"a training as of {key} is asked for since {since}; its gate has not decided yet"
        )
    if changed:
        return Answer(wish.cause, "already", f"a training as of {key} was asked for at {since} already")
    return Answer(wish.cause, "unchanged", f"nothing has changed since training as of {key}, asked for at {since}")


def _is_the_same(wish: Wish, last: LastAsked) -> bool:
    """Return whether it is the same run that tries again, or a person who runs the same DAG again."""
    if wish.run_id is None or last.run_id is None:
        return False
    return wish.run_id == last.run_id or (wish.by_hand and _dag(wish.run_id) == _dag(last.run_id))


def _dag(run_id: str) -> str:
    return run_id.partition("/")[0]


def note_training(use_case: UseCase, days: PartitionRange, *, who: str, run_id: str | None) -> None:
    """Write down that a person started a training without asking, once for each run."""
    with db.connect() as connection:
        db.lock_partition(connection, use_case.name, "training request", days.last_key)
        last = _last_asked(connection, use_case.name, days.last_key)
        if last is not None and run_id is not None and last.run_id == run_id:
            return
        wish = Wish("person", why="the training was started by hand", who=who, run_id=run_id)
        inputs = training_inputs(connection, use_case, days)
        _write(connection, use_case.name, inputs, wish, decide(wish, [], inputs, last))


def preview_request(use_case: UseCase, days: PartitionRange) -> Answer:
    """Return what the data run of a partition would be told now, without writing it down."""
    with db.connect() as connection:
        inputs = training_inputs(connection, use_case, days)
        last = _last_asked(connection, use_case.name, days.last_key)
    return decide(Wish("partition"), use_case.retraining.on, inputs, last)


def read_requests(
    connection: psycopg.Connection[Any], use_case: str, partition_key: str | None = None, *, limit: int = 1000
) -> list[Answer]:
    """Return what was answered to those who might have asked for a training, newest first.

    Args:
        connection: An open one.
        use_case: Its name.
        partition_key: As of this partition only.
        limit: How many at most.
    """
    values = {"use_case": use_case, "partition_key": partition_key, "limit": limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Answer(**row) for row in cursor.execute(_REQUESTS, values).fetchall()]


def _last_asked(connection: psycopg.Connection[Any], use_case: str, key: str) -> LastAsked | None:
    row = connection.execute(_LAST, {"use_case": use_case, "partition_key": key}).fetchone()
    return LastAsked(*row) if row else None


def _write(
    connection: psycopg.Connection[Any], use_case: str, inputs: dict[str, str], wish: Wish, answer: Answer
) -> None:
    from psycopg.types.json import Jsonb

    values = {
        "use_case": use_case,
        "partition_key": inputs["as of"],
        "cause": answer.cause,
        "verdict": answer.verdict,
        "reason": answer.reason,
        "inputs": Jsonb(inputs),
        "inputs_hash": inputs_hash(inputs),
        "who": wish.who,
        "run_id": wish.run_id,
    }
    connection.execute(_INSERT, values)
