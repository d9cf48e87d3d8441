"""What a published partition holds: numbers of every column, kept in the ledger with the publication.

Computed in Arrow, for the partitions that changed, right after they are published; one that is missing, because the
process ended in between, is computed when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from mlforge import db
from mlforge.ingest.cells import json_value
from mlforge.ingest.warehouse import warehouse_table
from mlforge.settings import get_settings
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.contract import Column

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 10
_ROWS_AT_ONCE = 100_000  # what is held in memory, however many partitions there are
_FEW_ROWS = 5_000
_PUBLICATION = "publication_id"
_NUMBERS = {"bigint", "integer", "smallint", "double precision"}

_MISSING: LiteralString = """
    SELECT publication_id, partition_key, rows_published FROM (
        SELECT DISTINCT ON (partition_key) publication_id, partition_key, rows_published FROM ledger.publications
        WHERE use_case = %(use_case)s AND dataset = %(dataset)s
            AND (%(keys)s::text[] IS NULL OR partition_key = ANY(%(keys)s))
        ORDER BY partition_key, version DESC
    ) AS newest
    WHERE NOT EXISTS (SELECT FROM ledger.profiles AS p WHERE p.publication_id = newest.publication_id)
    ORDER BY partition_key
"""
# In one statement, and so in one snapshot: a partition that is published anew meanwhile gives no rows for the old one.
_READ: LiteralString = """
    SELECT newest.publication_id, {columns} FROM (
        SELECT DISTINCT ON (partition_key) publication_id, partition_key FROM ledger.publications
        WHERE use_case = {use_case} AND dataset = {dataset} AND partition_key IN ({keys})
        ORDER BY partition_key, version DESC
    ) AS newest
    JOIN {table} AS t USING (partition_key)
"""
_RECORD: LiteralString = """
    INSERT INTO ledger.profiles (publication_id, use_case, dataset, partition_key, rows, columns)
    SELECT %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (
        SELECT FROM ledger.publications AS p, ledger.publications AS newer
        WHERE p.publication_id = %s AND newer.use_case = p.use_case AND newer.dataset = p.dataset
            AND newer.partition_key = p.partition_key AND newer.version > p.version)
    ON CONFLICT (publication_id) DO NOTHING
"""
_PROFILES: LiteralString = """
    SELECT DISTINCT ON (q.partition_key) q.partition_key, q.rows, q.columns, p.version, p.published_at,
           p.rows_quarantined, p.rows_duplicate
    FROM ledger.profiles AS q JOIN ledger.publications AS p USING (publication_id)
    WHERE q.use_case = %s AND q.dataset = %s ORDER BY q.partition_key, p.version DESC
"""


@dataclass(frozen=True)
class Profile:
    """Statistics of the newest version of a partition.

    Attributes:
        rows: Published rows.
        columns: Column → `count`, `nulls`, `distinct`; for numbers `min`, `max`, `mean`, `std` and `quantiles` (5, 25,
            50, 75, 95 %); for others `min`, `max`; `top`: the most frequent values with their counts. Personal columns
            have the first three only.
    """

    partition_key: str
    rows: int
    columns: dict[str, dict[str, Any]]
    version: int
    published_at: datetime
    rows_quarantined: int
    rows_duplicate: int


def read_profiles(use_case: UseCase, dataset: str) -> list[Profile]:
    """Return the profile of every published partition of a dataset, by key; those that are missing are made first."""
    record_profiles(use_case, dataset)
    names = use_case.contract(dataset).column_names
    with db.connect() as connection:
        found = connection.execute(_PROFILES, [use_case.name, dataset]).fetchall()
    # JSONB keeps no order.
    return [
        Profile(key, rows, {name: columns[name] for name in names if name in columns}, *rest)
        for key, rows, columns, *rest in found
    ]


def record_profiles(use_case: UseCase, dataset: str, keys: Sequence[str] | None = None) -> int:
    """Compute the profiles that the newest publications lack, write them down, and return how many.

    Args:
        use_case: The use case.
        dataset: Name of the dataset.
        keys: Only of these partitions.
    """
    bound = {"use_case": use_case.name, "dataset": dataset, "keys": None if keys is None else list(keys)}
    columns = use_case.contract(dataset).columns
    with db.connect(autocommit=True) as connection, connection.cursor() as cursor:
        missing = connection.execute(_MISSING, bound).fetchall()
        for batch in _batches(missing):
            query = _query(use_case, dataset, [key for _, key, _ in batch])
            few = sum(count for *_, count in batch) <= _FEW_ROWS
            found = _profiles(_read_few(connection, query, columns) if few else _read_many(query), columns)
            cursor.executemany(
                _RECORD,
                [
                    (number, use_case.name, dataset, key, count, Jsonb(found.get(number, {})), number)
                    for number, key, count in batch
                    if number in found or count == 0
                ],
            )
    return len(missing)


def _batches(missing: list[tuple[int, str, int]]) -> Iterator[list[tuple[int, str, int]]]:
    batch: list[tuple[int, str, int]] = []
    rows = 0
    for each in missing:
        batch.append(each)
        rows += each[2]
        if rows >= _ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _query(use_case: UseCase, dataset: str, keys: list[str]) -> sql.Composed:
    names = use_case.contract(dataset).column_names
    return sql.SQL(_READ).format(
        columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in names),
        use_case=sql.Literal(use_case.name),
        dataset=sql.Literal(dataset),
        keys=sql.SQL(", ").join(map(sql.Literal, keys)),
        table=warehouse_table(use_case, dataset),
    )


def _read_few(connection: psycopg.Connection[Any], query: sql.Composed, columns: Sequence[Column]) -> pa.Table:
    """Read through the connection that there is: for a day, another one would cost more than its rows."""
    import pyarrow as pa

    rows = connection.execute(query, binary=True).fetchall()
    names = [_PUBLICATION, *(column.name for column in columns)]
    kinds = [pa.int64(), *(column.arrow_type for column in columns)]
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    return pa.table(arrays, names=names)


def _read_many(query: sql.Composed) -> pa.Table:
    from adbc_driver_postgresql import dbapi

    url = f"{get_settings().postgres_url()}?options=-c%20timezone%3DUTC"
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query.as_string(None))
        return cursor.fetch_arrow_table()


def _profiles(rows: pa.Table, columns: Sequence[Column]) -> dict[int, dict[str, dict[str, Any]]]:
    """Return publication → column → statistics."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for column in columns:
        for number, statistics in _column(rows.select([_PUBLICATION, column.name]), column).items():
            found.setdefault(number, {})[column.name] = statistics
    return found


def _column(rows: pa.Table, column: Column) -> dict[int, dict[str, Any]]:
    import pyarrow.compute as pc

    name = column.name
    number = column.sql_type in _NUMBERS
    wanted: list[Any] = [(name, "count"), (name, "count", pc.CountOptions(mode="only_null"))]
    names = ["count", "nulls"]
    if number and not column.personal:
        wanted += [(name, each) for each in ("min", "max", "mean", "stddev")]
        wanted.append((name, "tdigest", pc.TDigestOptions(q=list(QUANTILES))))
        names += ["min", "max", "mean", "std", "quantiles"]
    grouped = rows.group_by(_PUBLICATION, use_threads=False).aggregate(wanted)
    # Two aggregates of one kind have one name: take them by place.
    values = {each: grouped.column(place + 1).to_pylist() for place, each in enumerate(names)}
    found: dict[int, dict[str, Any]] = {
        publication: {"distinct": 0} | {each: _finite(values[each][place]) for each in names}
        for place, publication in enumerate(grouped.column(0).to_pylist())
    }
    counted = _counted(rows, name)
    for publication, distinct in _groups(counted, [([], "count_all")]):
        found[publication]["distinct"] = distinct
    if not column.personal:
        if not number:
            for publication, low, high in _bounds(counted, name):
                found[publication] |= {"min": json_value(low), "max": json_value(high)}
        _add_top(found, counted, name)
    return found


def _counted(rows: pa.Table, name: str) -> pa.Table:
    """Return each value of a column with its number, `count_all`, by publication; missing ones do not count."""
    import pyarrow.compute as pc

    present = rows.filter(pc.is_valid(rows[name]))
    return present.group_by([_PUBLICATION, name], use_threads=False).aggregate([([], "count_all")])


def _groups(table: pa.Table, aggregates: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield each publication with its aggregates."""
    grouped = table.group_by(_PUBLICATION, use_threads=False).aggregate(aggregates)
    yield from zip(*(grouped.column(place).to_pylist() for place in range(len(aggregates) + 1)), strict=True)


def _add_top(found: dict[int, dict[str, Any]], counted: pa.Table, name: str) -> None:
    """Add the most frequent values of each publication."""
    import pyarrow as pa
    import pyarrow.compute as pc

    order = [(_PUBLICATION, "ascending"), ("count_all", "descending"), (name, "ascending")]
    counted = counted.take(pc.sort_indices(counted, sort_keys=order))
    publications = counted[_PUBLICATION].to_numpy()
    starts = [0, *((publications[1:] != publications[:-1]).nonzero()[0] + 1).tolist()] if len(publications) else []
    ends = [*starts[1:], len(publications)]
    places = [place for start, end in zip(starts, ends, strict=False) for place in range(start, min(end, start + TOP))]
    first = counted.take(pa.array(places, pa.int64()))  # of a column without a value, none
    columns = (first[each].to_pylist() for each in (_PUBLICATION, name, "count_all"))
    for publication, value, count in zip(*columns, strict=True):
        found[publication].setdefault("top", []).append([json_value(value), count])


def _bounds(counted: pa.Table, name: str) -> Iterator[tuple[Any, ...]]:
    """Yield each publication with its first and its last value in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_boolean(counted[name].type):
        order = pc.sort_indices(counted, sort_keys=[(_PUBLICATION, "ascending"), (name, "ascending")])
        yield from _groups(counted.take(order), [(name, "first"), (name, "last")])


def _finite(value: Any) -> Any:
    """Return a statistic as JSON has it: what is no number is none."""
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
