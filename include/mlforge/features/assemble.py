"""Training sets: labelled examples with the features known at their moment, as immutable files."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlforge import db, storage
from mlforge.errors import FeatureError
from mlforge.features.on_demand import OnDemand
from mlforge.features.plan import stored_projections
from mlforge.features.store import open_store
from mlforge.refs import PartitionRange, TrainingSet, code_version
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module

if TYPE_CHECKING:
    import pyarrow as pa

_PUBLICATIONS = """
SELECT dataset, max(publication_id) FROM ledger.publications WHERE use_case = %s GROUP BY dataset ORDER BY dataset
"""
_NEWEST = """
SELECT content_hash, code_version FROM ledger.training_sets
WHERE use_case = %s AND partition_key = %s AND as_of = %s ORDER BY training_set_id DESC LIMIT 1
"""
_RECORD = """
INSERT INTO ledger.training_sets
    (use_case, partition_key, as_of, rows, uri, content_hash, feature_service, publications, code_version, run_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def assemble_training_set(use_case: UseCase, days: PartitionRange, *, run_id: str | None = None) -> TrainingSet:
    """Write the examples of the training window before the end of the days, as known then.

    Args:
        use_case: Whose examples.
        days: The window ends with their end; what became known later is not in it.
        run_id: What the ledger notes as the run.

    Raises:
        FeatureError: There are no examples, or features cannot be joined.
    """
    as_of = days.end
    start = as_of - timedelta(days=use_case.training.window_days)
    training_set = _assemble(use_case, days, start, as_of, "training_sets")
    with db.connect() as connection:
        db.lock_partition(connection, use_case.name, "training set", days.key)
        newest = connection.execute(_NEWEST, [use_case.name, days.key, as_of]).fetchone()
        if newest != (training_set.content_hash, training_set.code_version):
            connection.execute(_RECORD, _ledger_row(training_set, run_id))
    return training_set


def assemble_partition(use_case: UseCase, days: PartitionRange) -> TrainingSet:
    """Write the days' own examples with the features known at their moment, as far as outcomes are known by now.

    Raises:
        FeatureError: There are no examples, or features cannot be joined.
    """
    return _assemble(use_case, days, days.start, datetime.now(UTC), "examples")


def _assemble(use_case: UseCase, days: PartitionRange, start: datetime, as_of: datetime, folder: str) -> TrainingSet:
    spine = _read_spine(use_case, start, days.end, as_of)
    if spine.num_rows == 0:
        raise FeatureError(
            "there are no examples",
            where=f"{use_case.name}, {start:%Y-%m-%d} to {days.last_key}, as of {as_of:%Y-%m-%dT%H:%MZ}",
            hint="publish the partitions first, or look at the spine's SQL",
        )
    table = _join(use_case, _derive(use_case, spine))
    content = _parquet(_arrange(use_case, table))
    uri, content_hash = storage.put_bytes(f"{folder}/{use_case.name}", content, ".parquet")
    with db.connect() as connection:
        publications = dict(connection.execute(_PUBLICATIONS, [use_case.name]).fetchall())
    return TrainingSet(
        use_case=use_case.name,
        partition_key=days.key,
        uri=uri,
        rows=table.num_rows,
        content_hash=content_hash,
        code_version=code_version(use_case.folder),
        as_of=as_of,
        feature_service=use_case.feature_service,
        publications=publications,
    )


def _read_spine(use_case: UseCase, start: datetime, end: datetime, as_of: datetime) -> pa.Table:
    """Return the spine, sorted by moment and key."""
    from psycopg import ClientCursor, sql

    text = use_case.sql(use_case.training.spine).strip().rstrip(";")
    order = sql.SQL(", ").join(map(sql.Identifier, ["event_timestamp", *use_case.prediction.key]))
    query = sql.SQL("SELECT * FROM (") + sql.SQL(text) + sql.SQL("\n) AS q ORDER BY {}").format(order)
    with db.connect() as connection:
        # ADBC has no named parameters: psycopg writes the three instants into the text, quoted.
        bound = ClientCursor(connection).mogrify(query, {"start": start, "end": end, "as_of": as_of})
    return _fetch(bound)


def _fetch(query: str) -> pa.Table:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def _derive(use_case: UseCase, spine: pa.Table) -> pa.Table:
    """Add the derived fields by the function that serving calls too."""
    request = {
        name: spine.column(name).to_pylist() for name in use_case.prediction.request if name in spine.column_names
    }
    derived = load_model_module(use_case).derive(request)
    for name, kind in use_case.prediction.derived.items():
        spine = spine.append_column(name, _array(derived[name], kind))
    return spine


def _join(use_case: UseCase, spine: pa.Table) -> pa.Table:
    """Join the feature service by Feast's offline store, as of each row's moment."""
    store = open_store()
    references = [
        f"{projection.name_to_use()}:{feature.name}"
        for projection in stored_projections(store.get_feature_service(use_case.feature_service))
        for feature in projection.features
    ]
    job = store.get_historical_features(entity_df=spine.to_pandas(), features=references, full_feature_names=True)
    return _compute_on_demand(use_case, job.to_arrow())


def _compute_on_demand(use_case: UseCase, table: pa.Table) -> pa.Table:
    """Add what the functions of `on_demand.py` make of request and stored features."""
    on_demand = OnDemand(use_case)
    if not on_demand.types:
        return table
    columns = {name: _values(table.column(name)) for name in table.column_names}
    for name, values in on_demand.compute(columns).items():
        table = table.append_column(name, _array(values, on_demand.types[name]))
    return table


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values as the server has them: what is no number is None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    values: list[Any] = column.to_pylist()
    return values


def _array(values: Sequence[Any], kind: str) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, {"integer": pa.int64(), "number": pa.float64(), "string": pa.string()}[kind])


def _arrange(use_case: UseCase, table: pa.Table) -> pa.Table:
    """Order the columns: request, derived, times, features, outcome."""
    first = [*use_case.prediction.request, *use_case.prediction.derived, "event_timestamp", "known_at"]
    outcome = use_case.training.outcome
    features = [name for name in table.column_names if name not in first and name not in outcome and "__" in name]
    names = [name for name in [*first, *features, *outcome] if name in table.column_names]
    return _plain(table.select(names)).combine_chunks()


def _plain(table: pa.Table) -> pa.Table:
    """Drop what the driver and pandas note on the schema: it is no content."""
    import pyarrow as pa

    return table.cast(pa.schema([pa.field(field.name, field.type) for field in table.schema]))


def _parquet(table: pa.Table) -> bytes:
    """Return Parquet whose bytes depend on the rows only."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=128 * 1024, store_schema=True)
    return buffer.getvalue()


def _ledger_row(training_set: TrainingSet, run_id: str | None) -> list[Any]:
    return [
        training_set.use_case,
        training_set.partition_key,
        training_set.as_of,
        training_set.rows,
        training_set.uri,
        training_set.content_hash,
        training_set.feature_service,
        json.dumps(training_set.publications),
        training_set.code_version,
        run_id,
    ]
