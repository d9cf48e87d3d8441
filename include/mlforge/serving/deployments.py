"""Deployments in the ledger: each step of a roll-out is a row, the newest row of a release is its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from mlforge.db import connect
from mlforge.refs import Release

State = Literal["packaged", "starting", "verified", "live", "draining", "stopped", "failed"]
RUNNING: tuple[State, ...] = ("starting", "verified", "live", "draining")
_NEWEST = """
    SELECT * FROM (
        SELECT DISTINCT ON (release_id) deployment_id, use_case, release_id, state, port, detail, changed_at
        FROM ledger.deployments ORDER BY release_id, deployment_id DESC
    ) AS newest
"""
_RECORD = """
    INSERT INTO ledger.deployments (use_case, release_id, state, port, detail, run_id)
    VALUES (%(use_case)s, %(release_id)s, %(state)s, %(port)s, %(detail)s, %(run_id)s)
    RETURNING deployment_id
"""


@dataclass(frozen=True)
class DeploymentRow:
    """The newest state of a release.

    Attributes:
        port: TCP port of its server, None before it has one.
        changed_at: UTC.
    """

    deployment_id: int
    use_case: str
    release_id: int
    state: State
    port: int | None
    detail: Mapping[str, Any]
    changed_at: datetime


def newest_rows(
    connection: psycopg.Connection[Any], *, states: tuple[State, ...] = RUNNING, use_case: str | None = None
) -> list[DeploymentRow]:
    """Return the newest row of each release whose state is one of those, oldest change first."""
    query = (
        _NEWEST + " WHERE state = ANY(%(states)s) AND (%(use_case)s::text IS NULL OR use_case = %(use_case)s)"
        " ORDER BY deployment_id"
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query.encode(), {"states": list(states), "use_case": use_case}).fetchall()
    return [DeploymentRow(**row) for row in rows]


def newest_row(release_id: int) -> DeploymentRow | None:
    """Return the newest row of a release, None before its first."""
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        query = _NEWEST + " WHERE release_id = %(release_id)s"
        row = cursor.execute(query.encode(), {"release_id": release_id}).fetchone()
    return DeploymentRow(**row) if row else None


def newest_state(release_id: int) -> State | None:
    """Return the state of a release, None before its first."""
    row = newest_row(release_id)
    return row.state if row else None


def record_state(
    release: Release | DeploymentRow,
    state: State,
    *,
    port: int | None = None,
    detail: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    connection: psycopg.Connection[Any] | None = None,
) -> int:
    """Append a step of a release and return its id.

    Args:
        release: The release, or its newest row.
        state: What it is from now on.
        port: TCP port of its server.
        detail: What else is worth knowing.
        run_id: Who did it.
        connection: An open transaction to write in; else one of its own.
    """
    values = {
        "use_case": release.use_case,
        "release_id": release.release_id,
        "state": state,
        "port": port,
        "detail": Jsonb(dict(detail or {})),
        "run_id": run_id,
    }
    if connection is None:
        with connect() as own:
            return _insert(own, values)
    return _insert(connection, values)


def _insert(connection: psycopg.Connection[Any], values: dict[str, Any]) -> int:
    row = connection.execute(_RECORD, values).fetchone()
    return int(row[0]) if row else 0
