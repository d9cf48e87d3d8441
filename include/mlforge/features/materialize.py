"""Online features: the newest values of partitions, brought online one view at a time.

Feast's engine and stores do it. Its registry is not written: what came online stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.store import online_store_kind, open_store
from mlforge.features.versions import version_of, versions_to_serve
from mlforge.refs import STATIC_KEY, FeaturePartition, PartitionRange
from mlforge.spec import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore

_RECORD: LiteralString = """
INSERT INTO ledger.materializations
    (use_case, view, partition_key, range_start, range_end, rows_written, rows_kept, run_id, view_version, online_store)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
# When a version came online in this store last, and whether a static view was built anew since.
_LAST: LiteralString = """
SELECT max(materialized_at), max(materialized_at) > (
    SELECT max(built_at) FROM ledger.feature_publications WHERE use_case = %(use_case)s AND view = %(view)s)
FROM ledger.materializations
WHERE use_case = %(use_case)s AND view = %(view)s AND view_version = %(version)s AND online_store = %(store)s
"""
_TICK = timedelta(microseconds=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class _Target:
    """A version of a view, on its way online."""

    use_case: UseCase
    view: Any
    run_id: str | None

    @property
    def name(self) -> str:
        return str(self.view.name)

    @property
    def ttl(self) -> timedelta:
        return self.view.ttl or timedelta(0)

    def last(self, connection: psycopg.Connection[Any]) -> tuple[datetime | None, bool | None]:
        """Return when it came online last, and whether that is newer than what was built."""
        bound = {
            "use_case": self.use_case.name,
            "view": self.name,
            "version": version_of(self.view),
            "store": online_store_kind(),
        }
        found = connection.execute(_LAST, bound).fetchone()
        return found if found is not None else (None, None)


def materialize_features(use_case: UseCase, built: FeaturePartition, *, run_id: str | None = None) -> FeaturePartition:
    """Bring the newest values of the days online; values that are newer already stay. Counts entities written.

    A version of a view that was never online gets also what is older, as far as its time to live reaches.

    Args:
        use_case: Whose views.
        built: Which days, from `build_features`.
        run_id: What the ledger notes as the run.

    Raises:
        FeatureError: A view is not registered, or Feast cannot materialize it.
        ServiceUnavailableError: PostgreSQL or the online store does not answer.
    """
    days = use_case.partitions(built.partition_key)
    written = 0
    for name, view in use_case.features.items():
        with _locked(use_case, name) as (connection, store, versions):
            for target in (_Target(use_case, version, run_id) for version in versions):
                span = _static_span(connection, target) if view.static else _span(connection, target, days)
                if span is not None:
                    written += _bring(connection, store, target, STATIC_KEY if view.static else days.key, span)
    return built.model_copy(update={"materialized": written})


def sync_online(use_case: UseCase, *, run_id: str | None = None) -> dict[str, int]:
    """Bring online whatever of the newest values is not there, and return the entities written per view.

    For an online store that is new or has lost its content, and for a version of a view that is new.

    Args:
        use_case: Whose views.
        run_id: What the ledger notes as the run.

    Raises:
        FeatureError: A view is not registered, or Feast cannot materialize it.
        ServiceUnavailableError: PostgreSQL or the online store does not answer.
    """
    written: dict[str, int] = {}
    for name, view in use_case.features.items():
        written[name] = 0
        with _locked(use_case, name) as (connection, store, versions):
            for target in (_Target(use_case, version, run_id) for version in versions):
                built = _built_span(connection, target)
                if built is None:
                    continue
                first, last = built
                start = last - target.ttl if target.ttl else first - timedelta(days=use_case.schedule.step_days)
                key = STATIC_KEY if view.static else _key(use_case, start, last)
                written[name] += _bring(connection, store, target, key, (start - _TICK, last))
    return written


def _key(use_case: UseCase, start: datetime, end: datetime) -> str:
    """Return the key of the partitions whose rows lie between two instants, the last one included."""
    first = max(use_case.schedule.first_day_of(start.date()), use_case.schedule.start)
    last = max(use_case.schedule.first_day_of((end - _TICK).date()), first)
    return PartitionRange(first, last, use_case.schedule.step_days).key


@contextmanager
def _locked(use_case: UseCase, view: str) -> Iterator[tuple[psycopg.Connection[Any], FeatureStore, list[Any]]]:
    """Give a connection that holds the view's lock, the store, and the versions to serve; errors become ours."""
    from feast.errors import FeastObjectNotFoundException

    where = f"{use_case.name}, view {view}"
    with db.connect() as connection:
        db.lock_partition(connection, use_case.name, "materialize", view)
        store = open_store()
        try:
            yield connection, store, versions_to_serve(connection, store, use_case, view)
        except FeastObjectNotFoundException as error:
            raise FeatureError(
                "the view is not registered", where=where, hint="run `mlforge features apply`"
            ) from error


def _span(connection: psycopg.Connection[Any], target: _Target, days: PartitionRange) -> Span:
    before, _ = target.last(connection)
    if before is None and target.ttl:
        return min(days.start, days.end - target.ttl - _TICK), days.end
    return days.start, days.end


def _static_span(connection: psycopg.Connection[Any], target: _Target) -> Span | None:
    """Return the span of a static view's rows, or None if they are online already."""
    _, current = target.last(connection)
    built = None if current else _built_span(connection, target)
    return None if built is None else (built[0] - _TICK, built[1])


def _built_span(connection: psycopg.Connection[Any], target: _Target) -> Span | None:
    """Return the times of the oldest and the newest row that is built."""
    table = sql.Identifier("features", target.use_case.view_table(target.name))
    if connection.execute("SELECT to_regclass(%s)", [table.as_string(None)]).fetchone() == (None,):
        return None
    found = connection.execute(
        sql.SQL("SELECT min(event_timestamp), max(event_timestamp) FROM {}").format(table)
    ).fetchone()
    return None if found is None or found[0] is None else (found[0], found[1])


def _bring(connection: psycopg.Connection[Any], store: FeatureStore, target: _Target, key: str, span: Span) -> int:
    """Bring a version's rows of a span online; return how many entities were written."""
    from redis.exceptions import ConnectionError, RedisError

    from mlforge.features.stores.rows import count_writes

    start, end = span
    where = f"{target.use_case.name}, view {target.name}, partition {key}"
    try:
        with count_writes() as count:
            # A partition's rows lie in (start, end]; Feast includes both ends.
            store._get_provider().materialize_single_feature_view(
                store.config, target.view, start + _TICK, end, store.registry, store.project, None
            )
    except (psycopg.OperationalError, ConnectionError) as error:
        raise ServiceUnavailableError("the online store does not answer", where=where) from error
    except (psycopg.Error, RedisError) as error:
        raise FeatureError(f"cannot be materialized: {' '.join(str(error).split())}", where=where) from error
    version = version_of(target.view)
    record = [target.use_case.name, target.name, key, start, end, count.written, count.kept, target.run_id]
    connection.execute(_RECORD, [*record, version, online_store_kind()])
    return count.written
