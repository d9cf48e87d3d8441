"""Outcomes: what happened afterwards, joined to the predictions by their key fields."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, sql

from mlforge import db
from mlforge.errors import MonitoringError
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module

log = logging.getLogger(__name__)

# PostgreSQL type that a request's JSON value is read as; a timestamp is written in ISO 8601.
_KEY_TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "timestamp": "timestamptz",
}

_INSERT = """
INSERT INTO ledger.outcomes (receipt_id, use_case, moment, label, known_at, run_id)
VALUES (%s, %s, %s, %s, %s, %s)
"""


def join_outcomes(use_case: UseCase, days: PartitionRange, *, run_id: str | None = None) -> int:
    """Join the predictions made for some days to what happened, and return how many outcomes were new.

    An outcome that comes late is joined by a later call for the same days; one that was corrected gets a new row.
    The same call again adds nothing.

    Args:
        use_case: Whose predictions.
        days: Days of the predictions' moments, UTC.
        run_id: The run that asks, for the ledger.

    Raises:
        MonitoringError: `model.label` does not give one finite label per row.
    """
    with db.connect() as connection:
        # Two joins at once would both miss the other's rows.
        db.lock_partition(connection, use_case.name, "outcomes")
        rows = _known_outcomes(connection, use_case, days)
        labels = _labels(use_case, [row[3:-2] for row in rows])
        new = [
            (receipt_id, use_case.name, moment, label, known_at, run_id)
            for (receipt_id, moment, known_at, *_, last_label, last_known_at), label in zip(rows, labels, strict=True)
            if (label, known_at) != (last_label, last_known_at)
        ]
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, new)
    log.info("%s %s: %d outcomes known, %d of them new", use_case.name, days.key, len(rows), len(new))
    return len(new)


def _known_outcomes(connection: Connection[Any], use_case: UseCase, days: PartitionRange) -> list[tuple[Any, ...]]:
    """Return receipt, moment, known_at, the outcome columns, and the label and known_at that were joined last."""
    spine = use_case.sql(use_case.training.spine).strip().rstrip(";")
    statement = sql.SQL("""
        WITH spine AS MATERIALIZED ({spine}
        )
        SELECT DISTINCT ON (prediction.receipt_id)
               prediction.receipt_id, prediction.moment, spine.known_at, {outcome}, joined.label, joined.known_at
        FROM ledger.predictions AS prediction
        JOIN spine ON {keys}
        LEFT JOIN LATERAL (
            SELECT label, known_at FROM ledger.current_outcomes AS outcome
            WHERE outcome.receipt_id = prediction.receipt_id LIMIT 1
        ) AS joined ON true
        WHERE prediction.use_case = %(use_case)s
          AND prediction.moment >= %(start)s
          AND prediction.moment < %(end)s
        ORDER BY prediction.receipt_id, spine.known_at DESC, {outcome}
    """).format(
        spine=sql.SQL(spine),
        outcome=sql.SQL(", ").join(sql.Identifier("spine", name) for name in use_case.training.outcome),
        keys=sql.SQL(" AND ").join(_key_condition(use_case, name) for name in use_case.prediction.key),
    )
    bound = {"use_case": use_case.name, "start": days.start, "end": days.end, "as_of": datetime.now(UTC)}
    return connection.execute(statement, bound).fetchall()


def _key_condition(use_case: UseCase, name: str) -> sql.Composed:
    kind = sql.SQL(_KEY_TYPES[use_case.prediction.request[name].type])
    return sql.SQL("(prediction.request ->> {name})::{kind} = {column}::{kind}").format(
        name=sql.Literal(name), kind=kind, column=sql.Identifier("spine", name)
    )


def _labels(use_case: UseCase, outcomes: Sequence[Sequence[Any]]) -> list[float]:
    if not outcomes:
        return []
    columns = dict(zip(use_case.training.outcome, map(list, zip(*outcomes, strict=True)), strict=True))
    labels = [float(value) for value in load_model_module(use_case).label(columns)]
    if len(labels) != len(outcomes) or not all(map(math.isfinite, labels)):
        raise MonitoringError(
            f"`label` gave {len(labels)} labels for {len(outcomes)} rows, or one that is no number",
            where=f"{use_case.folder / 'model.py'}",
            hint="return one finite label per row",
        )
    return labels
