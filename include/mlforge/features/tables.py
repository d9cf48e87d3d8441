"""Tables in the schema `features`, made from what a view's SQL gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mlforge.errors import FeatureError

_TIMES = ("event_timestamp", "known_at")
_PRESENT = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view: entity (before `event_timestamp`), time, or feature.

    Attributes:
        sql_type: Its type in PostgreSQL.
        key: Whether it is part of the row's identity: the entity, when it happened, and since when that is known.
    """

    name: str
    sql_type: str
    key: bool


def read_columns(connection: psycopg.Connection[Any], text: str, bound: dict[str, Any], where: str) -> list[ViewColumn]:
    """Return the columns that a view's SQL gives; nothing is computed.

    Raises:
        FeatureError: The SQL is wrong, or its columns are not entities, event_timestamp, known_at and features.
    """
    try:
        with connection.transaction():
            cursor = connection.execute(sql.SQL("SELECT * FROM (") + sql.SQL(text) + sql.SQL("\n) AS q LIMIT 0"), bound)
    except psycopg.Error as error:
        raise FeatureError(
            f"the SQL is wrong: {' '.join(str(error).split())}", where=where, hint="`%%` is written twice in it"
        ) from error
    described = [(column.name, column.type_code) for column in cursor.description or []]
    names = [name for name, _ in described]
    position = names.index("event_timestamp") if "event_timestamp" in names else 0
    if position == 0 or tuple(names[position : position + 2]) != _TIMES or "partition_key" in names:
        raise FeatureError(
            "its columns must be the entity's, then event_timestamp, known_at, then the features",
            where=where,
            evidence=names,
        )
    types = _type_names(connection, [code for _, code in described])
    return [ViewColumn(name, types[code], key=number <= position + 1) for number, (name, code) in enumerate(described)]


def _type_names(connection: psycopg.Connection[Any], codes: list[int]) -> dict[int, str]:
    rows = connection.execute("SELECT c, format_type(c, NULL) FROM unnest(%s::oid[]) AS c", [codes]).fetchall()
    return {int(code): name for code, name in rows}


def create_table(connection: psycopg.Connection[Any], table: str, columns: list[ViewColumn], where: str) -> None:
    """Create a view's table, or add the columns that it lacks.

    Raises:
        FeatureError: A column that is there has another type.
    """
    name = sql.Identifier("features", table)
    present = {column: kind for column, kind in connection.execute(_PRESENT, [f'features."{table}"']).fetchall()}
    if not present:
        _create(connection, table, columns)
        return
    for column in columns:
        if column.name not in present:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    name, sql.Identifier(column.name), sql.SQL(column.sql_type)
                )
            )
        elif present[column.name] != column.sql_type:
            raise FeatureError(
                f"{column.name!r} is {present[column.name]} in features.{table}, but the SQL gives {column.sql_type}",
                where=where,
                hint="give the feature another name, or drop the table and build its partitions again",
            )


def _create(connection: psycopg.Connection[Any], table: str, columns: list[ViewColumn]) -> None:
    name = sql.Identifier("features", table)
    definitions = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.sql_type),
            sql.SQL(" NOT NULL" if column.name in _TIMES else ""),
        )
        for column in columns
    ]
    keys = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns if column.key)
    connection.execute(
        sql.SQL("CREATE TABLE {} ({}, partition_key text NOT NULL, PRIMARY KEY ({}))").format(
            name, sql.SQL(", ").join(definitions), keys
        )
    )
    connection.execute(sql.SQL("CREATE INDEX ON {} (partition_key)").format(name))
