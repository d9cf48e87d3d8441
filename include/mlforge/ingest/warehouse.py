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


def ensure_table(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str) -> bool:
    """Create a dataset's table if there is none, or add the optional columns that it lacks; return whether it is new.

    A new table has no indexes yet: `add_indexes` makes them after the load, in half the time.

    Raises:
        SpecError: The table that is there lacks a required column, or has columns or types that the contract has not.
    """
    name = use_case.table(dataset)
    present = _columns(connection, name)
    wanted = _wanted(use_case, dataset)
    if present == wanted:
        return False
    lock_partition(connection, use_case.name, dataset, "table")
    present = _columns(connection, name)
    if not present:
        _create(connection, use_case, dataset)
        return True
    _require_compatible(use_case, dataset, present, wanted)
    for column, kind in wanted.items():
        if column not in present:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    warehouse_table(use_case, dataset), sql.Identifier(column), sql.SQL(kind)
                )
            )
    return False


def warehouse_table(use_case: UseCase, dataset: str) -> sql.Identifier:
    """Return the name of a dataset's table."""
    return sql.Identifier("warehouse", use_case.table(dataset))


def add_indexes(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str) -> None:
    """Index a table that was just filled; beside the locks, the database itself refuses a row that comes twice."""
    contract = use_case.contract(dataset)
    table = warehouse_table(use_case, dataset)
    for column in ("partition_key", "event_timestamp"):
        connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(column)))
    if contract.key:
        # Times and numbers before texts: comparing texts is slow, and rows come in the order of time.
        kinds = {
            column.name: (column.sql_type != "timestamptz", column.sql_type == "text") for column in contract.columns
        }
        names = [*sorted(contract.key, key=lambda name: kinds[name]), "partition_key"]
        key = sql.SQL(", ").join(map(sql.Identifier, names))
        connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(table, key))


def _require_compatible(use_case: UseCase, dataset: str, present: dict[str, str], wanted: dict[str, str]) -> None:
    """Check that nothing but optional columns has to be added.

    Raises:
        SpecError: More than that would have to change; the error says which column, and the next step for it.
    """
    needed = _needed(use_case, dataset)
    gone = [f"{name} is no column of the contract" for name in present if name not in wanted]
    retyped = [
        f"{name} is {kind} in the table, {wanted[name]} in the contract"
        for name, kind in present.items()
        if wanted.get(name, kind) != kind
    ]
    late = [f"{name} is new and required" for name in wanted if name not in present and name in needed]
    if not (gone or retyped or late):
        return
    steps = {
        "bring the column back into the contract, or drop it from the table": gone,
        "give the changed column a new name, or drop the table and publish every partition again": retyped,
        "make the new column optional, for the rows that are published have no value for it": late,
    }
    raise SpecError(
        f"the table warehouse.{use_case.table(dataset)} and the contract differ in "
        f"{', '.join(line.split()[0] for line in [*gone, *retyped, *late])}",
        where=str(use_case.contract(dataset).path),
        evidence=[*gone, *retyped, *late],
        hint=f"{'; '.join(step for step, lines in steps.items() if lines)}; then publish {dataset} again",
    )


def _needed(use_case: UseCase, dataset: str) -> set[str]:
    columns = use_case.contract(dataset).columns
    return {column.name for column in columns if column.required or column.key_position is not None} | TIMES.keys()


def _wanted(use_case: UseCase, dataset: str) -> dict[str, str]:
    return {**{column.name: column.sql_type for column in use_case.contract(dataset).columns}, **TIMES}


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    rows = connection.execute(
        "SELECT attname, replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz')"
        " FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [f'warehouse."{table}"'],
    ).fetchall()
    return dict(rows)


def _create(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str) -> None:
    needed = _needed(use_case, dataset)
    columns = [
        sql.SQL("{} {}{}").format(sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" if name in needed else ""))
        for name, kind in _wanted(use_case, dataset).items()
    ]
    connection.execute(
        sql.SQL("CREATE TABLE {} ({})").format(warehouse_table(use_case, dataset), sql.SQL(", ").join(columns))
    )
