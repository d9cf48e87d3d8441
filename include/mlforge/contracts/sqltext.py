"""Pieces of SQL for rules: names and values, quoted."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from mlforge.spec import Column

_MOMENTS = {"date", "timestamp", "time"}


def name(column: str) -> str:
    """Return a column's name as SQL writes it."""
    return sql.Identifier(column).as_string(None)


def names(columns: tuple[str, ...]) -> str:
    """Return several columns' names, with commas."""
    return ", ".join(map(name, columns))


def literal(value: Any) -> str:
    """Return a value as SQL writes it."""
    return sql.Literal(value).as_string(None)


def typed(column: Column, value: Any) -> str:
    """Return a value as SQL writes it in a comparison with a column; moments are written as text in a contract."""
    return f"{literal(str(value))}::{column.sql_type}" if column.logical_type in _MOMENTS else literal(value)
