"""Repairs: what in MLflow was not as the ledger says, and what was done about it. None is silent."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from mlforge.db import connect

_log = logging.getLogger(__name__)

What = Literal["alias", "tags", "version", "artifact"]
_INSERT = """
    INSERT INTO ledger.repairs (use_case, release_id, what, found, now, message, run_id, who)
    VALUES (%(use_case)s, %(release_id)s, %(what)s, %(found)s, %(now)s, %(message)s, %(run_id)s, %(who)s)
"""


@dataclass(frozen=True)
class Repair:
    """One thing that was repaired.

    Attributes:
        what: The alias, tags of a version, a registered version, or a model's files.
        found: What MLflow had.
        now: What it has since.
        message: The same in a sentence.
    """

    what: What
    found: str
    now: str
    message: str


@dataclass(frozen=True)
class RepairRecord:
    """A row of the ledger about a repair.

    Attributes:
        release_id: The champion that MLflow had to follow.
        who: Who had it repaired; MLflow does not say who had changed it.
        repaired_at: UTC.
    """

    repair_id: int
    use_case: str
    release_id: int | None
    what: What
    found: str
    now: str
    message: str
    run_id: str | None
    who: str
    repaired_at: datetime


def record_repair(
    connection: psycopg.Connection[Any],
    repair: Repair,
    *,
    use_case: str,
    release_id: int | None,
    who: str,
    run_id: str | None,
) -> None:
    """Write a repair to the ledger, inside the open transaction, and to the log."""
    _log.warning("%s: %s", use_case, repair.message)
    values = {**asdict(repair), "use_case": use_case, "release_id": release_id, "who": who, "run_id": run_id}
    connection.execute(_INSERT, values)


def list_repairs(use_case: str, *, limit: int = 20, at: datetime | None = None) -> list[RepairRecord]:
    """Return the newest repairs of a use case, newest first.

    Args:
        use_case: Its name.
        limit: How many at most.
        at: Only those made up to this instant, with its time zone.
    """
    query = """
        SELECT repair_id, use_case, release_id, what, found, now, message, run_id, who, repaired_at
        FROM ledger.repairs
        WHERE use_case = %(use_case)s AND (%(at)s::timestamptz IS NULL OR repaired_at <= %(at)s)
        ORDER BY repair_id DESC LIMIT %(limit)s
    """
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, {"use_case": use_case, "limit": limit, "at": at}).fetchall()
    return [RepairRecord(**row) for row in rows]
