"""Warehouse tables: `warehouse.<use_case>__<dataset>`, made from the contract."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from mlforge.db import lock_partition
from mlforge.errors import SpecError
from mlforge.spec import UseCase

TIMES = {"partition_key": "text", "event_timestamp": "timestamptz", "known_at": "timestamptz"}


def published_columns(use_case: UseCase, dataset: str) -> list[str]:
    """Return the names of a warehouse table's columns, in order."""
    return [*use_case.contract(dataset).column_names, *TIMES]


def ensure_table(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str) -> sql.Identifier:
    """Create a dataset's table and its indexes if there is none, and return its name.

    Raises:
        SpecError: The table that is there has other columns than the contract.
    """
    name = use_case.table(dataset)
    table = sql.Identifier("warehouse", name)
    present = _columns(connection, name)
    if not present:
        lock_partition(connection, use_case.name, dataset, "table")
        present = _columns(connection, name)
    if not present:
        _create(connection, use_case, dataset, table)
        return table
    wanted = _wanted(use_case, dataset)
    if present != wanted:
        differing = sorted({name for name, _ in present.items() ^ wanted.items()})
        raise SpecError(
            f"the table warehouse.{name} and the contract differ in {', '.join(differing)}",
            where=str(use_case.contract(dataset).path),
            hint=f"alter or drop the table, or correct the contract, then publish {dataset} again",
        )
    return table


def _wanted(use_case: UseCase, dataset: str) -> dict[str, str]:
    return {**{column.name: column.sql_type for column in use_case.contract(dataset).columns}, **TIMES}


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    rows = connection.execute(
        "SELECT attname, replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz')"
        " FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [f'warehouse."{table}"'],
    ).fetchall()
    return dict(rows)


def _create(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str, table: sql.Identifier) -> None:
    contract = use_case.contract(dataset)
    needed = {column.name for column in contract.columns if column.required or column.key_position is not None}
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" if name in needed | TIMES.keys() else "")
        )
        for name, kind in _wanted(use_case, dataset).items()
    ]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))
    for column in ("partition_key", "event_timestamp"):
        connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(column)))
    if contract.key:
        # Beside the locks, the database itself refuses a row that is published twice.
        key = sql.SQL(", ").join(map(sql.Identifier, [*contract.key, "partition_key"]))
        connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(table, key))
