"""Reading the release ledger: who is champion, who was, and what answers. Only the registry and serving write it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from mlforge.db.connection import connect
from mlforge.errors import PromotionError
from mlforge.refs import Release, TrainingSet

_ALL = "SELECT * FROM ledger.releases"


@dataclass(frozen=True)
class ReleaseRecord:
    """A row of the release ledger with all that it says.

    Attributes:
        release: The reference that stages pass on.
        kind: `promote` or `rollback`.
        sequence: Its place in the use case's journal, from 1.
        released_at: UTC.
        evidence: Figures of the gate's decision.
        traffic_plan: How traffic is to move to it.
        version: Its semantic version, such as `1.2.3`; of a rollback that of the model which it brings back.
        fingerprints: What the model was made from besides its rows, see `mlforge.fingerprints`.
        decision_id: The gate's decision that it rests on.
    """

    release: Release
    kind: str
    sequence: int
    mlflow_run_id: str
    training_set: TrainingSet
    evidence: dict[str, Any]
    traffic_plan: dict[str, Any]
    who: str
    why: str
    released_at: datetime
    version: str
    fingerprints: dict[str, str]
    decision_id: int | None


@dataclass(frozen=True)
class LiveDeployment:
    """The release that answers behind the gateway.

    Attributes:
        port: TCP port of its server.
        detail: What the roll-out noted.
        changed_at: Since when it is live, UTC.
    """

    use_case: str
    deployment_id: int
    release_id: int
    port: int | None
    detail: dict[str, Any]
    changed_at: datetime


def champion(use_case: str) -> Release | None:
    """Return the champion of a use case, None before its first promotion."""
    with connect() as connection:
        record = newest_record(connection, use_case)
    return record.release if record else None


def champion_at(use_case: str, time: datetime) -> Release | None:
    """Return who was champion at an instant, None if nobody was.

    Args:
        use_case: Its name.
        time: The instant, with its time zone.
    """
    rows = list_releases(use_case, limit=1, at=time)
    return rows[0].release if rows else None


def release(release_id: int) -> Release:
    """Return the release with that id.

    Raises:
        PromotionError: There is none.
    """
    return release_record(release_id).release


def release_training_set(release_id: int) -> TrainingSet:
    """Return the training set that a release's model was trained on.

    Raises:
        PromotionError: There is no such release.
    """
    return release_record(release_id).training_set


def release_record(release_id: int) -> ReleaseRecord:
    """Return the whole ledger row of a release.

    Raises:
        PromotionError: There is none.
    """
    with connect() as connection:
        rows = _select(connection, _ALL + " WHERE release_id = %(release_id)s", {"release_id": release_id})
    if not rows:
        raise PromotionError(f"there is no release {release_id}", hint="see `mlforge models history`")
    return rows[0]


def list_releases(
    use_case: str | None = None, *, limit: int | None = 100, at: datetime | None = None
) -> list[ReleaseRecord]:
    """Return the newest releases of a use case, or of all, newest first.

    Args:
        use_case: Its name.
        limit: How many at most; none for all.
        at: Only those made up to this instant, with its time zone.
    """
    query = (
        _ALL + " WHERE (%(use_case)s::text IS NULL OR use_case = %(use_case)s)"
        " AND (%(at)s::timestamptz IS NULL OR released_at <= %(at)s) ORDER BY release_id DESC LIMIT %(limit)s"
    )
    with connect() as connection:
        return _select(connection, query, {"use_case": use_case, "limit": limit, "at": at})


def newest_record(connection: psycopg.Connection[Any], use_case: str) -> ReleaseRecord | None:
    """Return the champion's ledger row, read inside an open transaction."""
    query = _ALL + " WHERE use_case = %(use_case)s ORDER BY sequence DESC LIMIT 1"
    rows = _select(connection, query, {"use_case": use_case})
    return rows[0] if rows else None


def journal(connection: psycopg.Connection[Any], use_case: str) -> list[ReleaseRecord]:
    """Return every release of a use case, oldest first, read inside an open transaction."""
    query = _ALL + " WHERE use_case = %(use_case)s ORDER BY sequence"
    return _select(connection, query, {"use_case": use_case})


def live_deployment(use_case: str, at: datetime | None = None) -> LiveDeployment | None:
    """Return the deployment that traffic goes to: the newest one whose last state is `live`, None if there is none.

    Args:
        use_case: Its name.
        at: An instant, with its time zone: what answered then; none for now.
    """
    query = """
        SELECT use_case, deployment_id, release_id, port, detail, changed_at
        FROM (
            SELECT DISTINCT ON (release_id) * FROM ledger.deployments
            WHERE use_case = %(use_case)s AND (%(at)s::timestamptz IS NULL OR changed_at <= %(at)s)
            ORDER BY release_id, deployment_id DESC
        ) AS states
        WHERE state = 'live' ORDER BY deployment_id DESC LIMIT 1
    """
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, {"use_case": use_case, "at": at}).fetchone()
    return LiveDeployment(**row) if row else None


def _select(connection: psycopg.Connection[Any], query: str, values: dict[str, Any]) -> list[ReleaseRecord]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_record(row) for row in cursor.execute(query.encode(), values).fetchall()]


def _record(row: DictRow) -> ReleaseRecord:
    training_set = TrainingSet.load(row["training_set"])
    reference = Release(
        use_case=row["use_case"],
        partition_key=row["partition_key"],
        uri=row["model_uri"],
        rows=training_set.rows,
        content_hash=row["content_hash"],
        code_version=row["code_version"],
        release_id=row["release_id"],
        model_name=row["model_name"],
        model_version=row["model_version"],
        bento=row["bento"],
        feature_service=row["feature_service"],
        parent_id=row["parent_id"],
    )
    return ReleaseRecord(
        release=reference,
        training_set=training_set,
        **{
            name: row[name]
            for name in (
                *("kind", "sequence", "mlflow_run_id", "evidence", "traffic_plan", "who", "why", "released_at"),
                *("version", "fingerprints", "decision_id"),
            )
        },
    )
