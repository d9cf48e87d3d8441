"""What a published partition holds: numbers of every column, kept in the ledger with the publication.

Computed in Arrow, for the partitions that changed: from the file that landed, while the database writes its rows, or
from the table where not all of them were published. One that is missing, because the process ended in between, is
computed when it is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from mlforge import db, storage
from mlforge.ingest.profile_columns import PUBLICATION, profile_columns
from mlforge.ingest.warehouse import warehouse_table
from mlforge.refs import CheckedPartition
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.spec.row_keys import row_keys

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.contract import Column

_ROWS_AT_ONCE = 100_000  # what is held in memory, however many partitions there are
_FEW_ROWS = 5_000

_MISSING: LiteralString = """
    SELECT publication_id, partition_key, rows_published, raw_hash, rows_in = rows_published AS whole FROM (
        SELECT DISTINCT ON (partition_key) publication_id, partition_key, rows_published, rows_in, raw_hash
        FROM ledger.publications
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
    SELECT new.number, %(use_case)s, %(dataset)s, new.key, new.count, new.columns
    FROM unnest(%(numbers)s::bigint[], %(keys)s::text[], %(counts)s::bigint[], %(columns)s::jsonb[])
        AS new(number, key, count, columns)
    WHERE NOT EXISTS (
        SELECT FROM ledger.publications AS p, ledger.publications AS newer
        WHERE p.publication_id = new.number AND newer.use_case = p.use_case AND newer.dataset = p.dataset
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


@dataclass(frozen=True)
class LandedProfiles:
    """What a raw file holds.

    Attributes:
        raw_hash: Its content hash.
        partitions: Partition key → its rows, and column → statistics.
    """

    raw_hash: str
    partitions: Mapping[str, tuple[int, dict[str, dict[str, Any]]]]


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


def profile_landed(use_case: UseCase, checked: CheckedPartition, keys: Sequence[str]) -> LandedProfiles:
    """Return the profiles of partitions as they landed; they hold where every row is published.

    Args:
        use_case: The use case.
        checked: Names the raw file.
        keys: Which partitions.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    content = storage.read_bytes(checked.raw_uri, content_hash=checked.raw_hash)
    columns = use_case.contract(checked.dataset).columns
    rows = pq.read_table(io.BytesIO(content), columns=[column.name for column in columns])
    key_of_row = row_keys(use_case, checked.dataset, rows)
    rows = rows.append_column(PUBLICATION, key_of_row.indices)
    every = key_of_row.dictionary.to_pylist()
    wanted = {place: key for place, key in enumerate(every) if key in set(keys)}
    if len(wanted) < len(every):
        rows = rows.filter(pc.is_in(rows[PUBLICATION], pa.array(list(wanted), pa.int32())))
    counted = {each["values"]: each["counts"] for each in pc.value_counts(rows[PUBLICATION]).to_pylist()}
    found = profile_columns(rows, columns)
    return LandedProfiles(checked.raw_hash, {wanted[place]: (counted[place], found[place]) for place in found})


def record_profiles(
    use_case: UseCase, dataset: str, keys: Sequence[str] | None = None, landed: LandedProfiles | None = None
) -> int:
    """Compute the profiles that the newest publications lack, write them down, and return how many.

    Args:
        use_case: The use case.
        dataset: Name of the dataset.
        keys: Only of these partitions.
        landed: Those that are computed already.
    """
    bound = {"use_case": use_case.name, "dataset": dataset, "keys": None if keys is None else list(keys)}
    columns = use_case.contract(dataset).columns
    with db.connect(autocommit=True) as connection:
        missing = connection.execute(_MISSING, bound).fetchall()
        rest: list[tuple[int, str, int]] = []
        ready: list[tuple[int, str, int, dict[str, Any]]] = []
        for number, key, count, raw_hash, whole in missing:
            rows, statistics = landed.partitions.get(key, (0, {})) if landed else (0, {})
            if landed and whole and rows == count and raw_hash == landed.raw_hash:
                ready.append((number, key, count, statistics))
            else:
                rest.append((number, key, count))
        _record(connection, bound, ready)
        for batch in _batches(rest):
            query = _query(use_case, dataset, [key for _, key, _ in batch])
            few = sum(count for *_, count in batch) <= _FEW_ROWS
            found = profile_columns(_read_few(connection, query, columns) if few else _read_many(query), columns)
            held = [(*each, found.get(each[0], {})) for each in batch if each[0] in found or each[2] == 0]
            _record(connection, bound, held)
    return len(missing)


def _record(
    connection: psycopg.Connection[Any],
    bound: Mapping[str, Any],
    profiles: Sequence[tuple[int, str, int, dict[str, Any]]],
) -> None:
    if profiles:
        numbers, keys, counts, columns = (list(each) for each in zip(*profiles, strict=True))
        values = {"numbers": numbers, "keys": keys, "counts": counts, "columns": [Jsonb(each) for each in columns]}
        connection.execute(_RECORD, {**bound, **values})


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
    names = [PUBLICATION, *(column.name for column in columns)]
    kinds = [pa.int64(), *(column.arrow_type for column in columns)]
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    return pa.table(arrays, names=names)


def _read_many(query: sql.Composed) -> pa.Table:
    from adbc_driver_postgresql import dbapi

    url = f"{get_settings().postgres_url()}?options=-c%20timezone%3DUTC"
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query.as_string(None))
        return cursor.fetch_arrow_table()
