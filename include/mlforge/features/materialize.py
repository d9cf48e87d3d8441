"""Online features: what Feast's materialization writes for partitions, one at a time per view."""

from __future__ import annotations

import contextlib
import io
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.store import open_store
from mlforge.refs import STATIC_KEY, FeaturePartition
from mlforge.spec import UseCase

_RECORD = """
INSERT INTO ledger.materializations
    (use_case, view, partition_key, range_start, range_end, rows_written, rows_kept, run_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_STATIC_IS_CURRENT = """
SELECT coalesce(
    (SELECT max(materialized_at) FROM ledger.materializations
     WHERE use_case = %(use_case)s AND view = %(view)s AND partition_key = %(key)s)
    > (SELECT max(built_at) FROM ledger.feature_publications
       WHERE use_case = %(use_case)s AND view = %(view)s AND partition_key = %(key)s), false)
"""
_TICK = timedelta(microseconds=1)


def materialize_features(use_case: UseCase, built: FeaturePartition, *, run_id: str | None = None) -> FeaturePartition:
    """Bring the newest values of the days online; values that are newer already stay. Counts entities written.

    Args:
        use_case: Whose views.
        built: Which days, from `build_features`.
        run_id: What the ledger notes as the run.

    Raises:
        FeatureError: A view is not registered, or Feast cannot materialize it.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    days = use_case.partitions(built.partition_key)
    written = 0
    for name, view in use_case.features.items():
        with db.connect() as connection:
            db.lock_partition(connection, use_case.name, "materialize", name)
            span = _static_span(connection, use_case, name) if view.static else (days.start, days.end)
            if span is not None:
                key = STATIC_KEY if view.static else days.key
                written += _materialize(connection, use_case, name, key, span, run_id)
    return built.model_copy(update={"materialized": written})


def _static_span(connection: psycopg.Connection[Any], use_case: UseCase, view: str) -> tuple[datetime, datetime] | None:
    """Return the span of a static view's rows, or None if they are online already."""
    bound = {"use_case": use_case.name, "view": view, "key": STATIC_KEY}
    current = connection.execute(_STATIC_IS_CURRENT, bound).fetchone()
    if current is not None and current[0]:
        return None
    found = connection.execute(
        sql.SQL("SELECT min(event_timestamp), max(event_timestamp) FROM {}").format(
            sql.Identifier("features", use_case.view_table(view))
        )
    ).fetchone()
    if found is None or found[0] is None:
        return None
    return found[0] - _TICK, found[1]


def _materialize(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    view: str,
    key: str,
    span: tuple[datetime, datetime],
    run_id: str | None,
) -> int:
    from feast.errors import FeastObjectNotFoundException

    from mlforge.features.stores.rows import count_writes

    store = open_store()
    start, end = span
    where = f"{use_case.name}, view {view}, partition {key}"
    try:
        with count_writes() as count, contextlib.redirect_stdout(io.StringIO()):
            # A partition's rows lie in (start, end]; Feast includes both ends.
            store.materialize(start + _TICK, end, feature_views=[view])
    except FeastObjectNotFoundException as error:
        raise FeatureError("the view is not registered", where=where, hint="run `mlforge features apply`") from error
    except psycopg.OperationalError as error:
        raise ServiceUnavailableError("the online store does not answer", where=where) from error
    except psycopg.Error as error:
        raise FeatureError(f"cannot be materialized: {' '.join(str(error).split())}", where=where) from error
    connection.execute(_RECORD, [use_case.name, view, key, start, end, count.written, count.kept, run_id])
    return count.written
