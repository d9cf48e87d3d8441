"""Staging tables: an attempt's rows between landing and publication.

`staging.<use_case>__<dataset>__a<attempt>` holds the contract's columns, `partition_key`, `event_timestamp`,
`known_at`, and three of its own: `_row_id`, `_copies` (how many exact copies of the row came), `_rules` (the rules
that the row breaks; NULL for a row that may be published).
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, LiteralString

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.errors import SpecError
from mlforge.refs import RawPartition
from mlforge.settings import get_settings
from mlforge.spec import Contract, UseCase
from mlforge.spec.row_keys import row_keys

if TYPE_CHECKING:
    import pyarrow as pa

ROW_ID = "_row_id"
COPIES = "_copies"
RULES = "_rules"
_LANDING = "mlforge_landing"
_CODES = 1 << 62  # combinations of key values that a number can hold
_PART = 100_000  # rows at least that a connection of its own loads
_PARTS = 4

_DEAD: LiteralString = """
    SELECT DISTINCT tablename FROM ledger.attempts JOIN pg_tables
        ON schemaname = 'staging' AND tablename = %(prefix)s || attempt::text
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s) AND attempt < %(attempt)s
        AND ((raw_hash, code_version) IS DISTINCT FROM (%(raw_hash)s, %(code_version)s)
             OR claimed_at < clock_timestamp() - interval '1 hour')  -- an equal attempt may still be at work
"""


def staging_table(use_case: str, dataset: str, attempt: int) -> str:
    """Return the name of an attempt's table in the schema `staging`."""
    return f"{use_case}__{dataset}__a{attempt}"


def claim_partitions(use_case: UseCase, raw: RawPartition, code: str) -> int:
    """Claim the partitions for a new attempt and return its number.

    From then on an older attempt cannot publish, unless it has the same raw rows and code: runs of many days at once
    all bring the same static dataset, and none of them has to fail for it.
    """
    names = _names(use_case, raw, code)
    with db.connect() as connection:
        row = connection.execute("SELECT nextval('ledger.attempt_numbers')").fetchone()
        attempt = int(row[0]) if row else 0
        connection.execute(
            "INSERT INTO ledger.attempts (use_case, dataset, partition_key, attempt, raw_hash, code_version)"
            " SELECT %(use_case)s, %(dataset)s, key, %(attempt)s, %(raw_hash)s, %(code_version)s"
            " FROM unnest(%(keys)s::text[]) AS key",
            {**names, "attempt": attempt},
        )
        connection.commit()  # others must see the claim before this looks for what it has overtaken
        prefix = staging_table(raw.use_case, raw.dataset, 0)[:-1]
        dead = connection.execute(_DEAD, {**names, "attempt": attempt, "prefix": prefix}).fetchall()
    for (table,) in dead:
        drop_staging(table)
    return attempt


def _names(use_case: UseCase, raw: RawPartition, code: str) -> dict[str, object]:
    return {
        "use_case": raw.use_case,
        "dataset": raw.dataset,
        "keys": use_case.partition_keys(raw.partition_key),
        "raw_hash": raw.content_hash,
        "code_version": code,
    }


def is_newest(use_case: UseCase, raw: RawPartition, attempt: int, code: str) -> bool:
    """Return whether no newer attempt with other rows or code has claimed one of the partitions."""
    with db.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM ledger.attempts WHERE use_case = %(use_case)s AND dataset = %(dataset)s"
            " AND partition_key = ANY(%(keys)s) AND attempt > %(attempt)s"
            " AND (raw_hash, code_version) IS DISTINCT FROM (%(raw_hash)s, %(code_version)s)",
            {**_names(use_case, raw, code), "attempt": attempt},
        ).fetchone()
    return row == (0,)


def drop_staging(table: str) -> None:
    """Drop a staging table; one that a publication is reading at this moment stays, its publication drops it."""
    with contextlib.suppress(psycopg.errors.LockNotAvailable), db.connect() as connection:
        connection.execute("SET LOCAL lock_timeout = '5s'")
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("staging", table)))


def load_staging(use_case: UseCase, dataset: str, rows: pa.Table, table: str, *, indexed: bool = False) -> bool:
    """Load rows into a new staging table, exact copies once, with their partition and their two times.

    Args:
        use_case: The use case.
        dataset: One of its datasets.
        rows: At least the contract's columns, in its types.
        table: The table's name in the schema `staging`.
        indexed: Whether partitions are going to be asked one by one.

    Returns:
        Whether it is certain that no two rows share their key.

    Raises:
        SpecError: The use case's SQL for a time cannot be computed.
    """
    contract = use_case.contract(dataset)
    distinct, unique = _once(rows.select(contract.column_names), contract)
    distinct = distinct.append_column("partition_key", row_keys(use_case, dataset, distinct).dictionary_decode())
    staged = sql.Identifier("staging", table).as_string(None)
    with db.connect() as connection:
        connection.execute(_create_statement(contract, staged).encode())
    fill = _fill_statement(use_case, dataset, contract, staged)
    size = max(_PART, -(-len(distinct) // _PARTS))
    parts = [distinct.slice(start, size) for start in range(0, len(distinct), size)]
    turns = [Event() for _ in range(len(parts) + 1)]
    turns[0].set()
    try:
        with ThreadPoolExecutor(max_workers=2) as threads:
            list(threads.map(partial(_load, fill), parts, turns, turns[1:]))
    except SpecError as error:
        raise SpecError(
            f"the times of {dataset!r} cannot be computed: {error.what}",
            where=str(use_case.folder / "use_case.yaml"),
            hint=f"correct `event_timestamp` and `known_at` of datasets.{dataset}",
        ) from error
    if indexed:
        with db.connect() as connection:
            connection.execute(f"CREATE INDEX ON {staged} (partition_key)".encode())
    return unique


def _load(fill: str, rows: pa.Table, mine: Event, following: Event) -> None:
    """Land rows in a table of this connection's own, and move them to staging when it is their turn.

    So one part lands while the one before it is moved, and the order stays: what lies together is read together.
    """
    import adbc_driver_manager
    from adbc_driver_postgresql import dbapi

    url = f"{get_settings().postgres_url()}?options=-c%20timezone%3DUTC%20-c%20temp_buffers%3D64MB"
    try:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(_LANDING, rows, mode="create", temporary=True)
            mine.wait()
            try:
                cursor.execute(fill)
            except adbc_driver_manager.Error as error:
                raise SpecError(str(error).splitlines()[0]) from error
            connection.commit()
    finally:
        following.set()


def _create_statement(contract: Contract, staged: str) -> str:
    kinds = {column.name: column.sql_type for column in contract.columns}
    kinds |= {"partition_key": "text", "event_timestamp": "timestamptz", "known_at": "timestamptz"}
    kinds |= {ROW_ID: "bigint", COPIES: "bigint", RULES: "text[]"}
    columns = ", ".join(f"{sql.Identifier(name).as_string(None)} {kind}" for name, kind in kinds.items())
    # It lives for a minute, and what reads it reads all of it.
    return f"CREATE UNLOGGED TABLE {staged} ({columns}) WITH (autovacuum_enabled = false)"


def _fill_statement(use_case: UseCase, dataset: str, contract: Contract, staged: str) -> str:
    declared = use_case.dataset(dataset)
    columns = sql.SQL(", ").join(map(sql.Identifier, contract.column_names)).as_string(None)
    # The two times are SQL that the use case's author wrote.
    times = f"({declared.event_timestamp})::timestamptz, ({declared.known_at})::timestamptz"
    return (
        f"INSERT INTO {staged} ({columns}, partition_key, event_timestamp, known_at, {ROW_ID}, {COPIES})"  # noqa: S608
        f" SELECT {columns}, partition_key, {times}, {ROW_ID}, {COPIES} FROM {_LANDING}"
    )


def _once(rows: pa.Table, contract: Contract) -> tuple[pa.Table, bool]:
    """Return each distinct row once, numbered, with the number of its copies; and whether no two share their key."""
    import pyarrow as pa

    if _keys_differ(rows, contract):
        distinct = rows.append_column(COPIES, pa.repeat(pa.scalar(1, pa.int64()), len(rows)))
        unique = True
    else:
        grouped = rows.group_by(rows.column_names, use_threads=False).aggregate([([], "count_all")])
        distinct = grouped.select(rows.column_names).cast(rows.schema)
        distinct = distinct.append_column(COPIES, grouped["count_all"].cast(pa.int64()))
        unique = False
    return distinct.append_column(ROW_ID, pa.array(range(1, len(distinct) + 1), pa.int64())), unique


def _keys_differ(rows: pa.Table, contract: Contract) -> bool:
    """Return whether all keys differ: asked faster than whether all rows do. Floats are left to the database."""
    import numpy as np

    if not contract.key or any(c.sql_type == "double precision" for c in contract.columns if c.name in contract.key):
        return False
    codes, size = np.zeros(len(rows), np.int64), 1
    for column in contract.key:
        encoded = rows[column].combine_chunks().dictionary_encode(null_encoding="encode")
        size *= max(len(encoded.dictionary), 1)
        if size >= _CODES:
            groups = rows.select(contract.key).group_by(contract.key, use_threads=False).aggregate([([], "count_all")])
            return len(groups) == len(rows)
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    codes.sort()
    return not bool((codes[1:] == codes[:-1]).any())
