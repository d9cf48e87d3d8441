"""What each rule shows in each partition, measured where the rows are: one pass over staging for nearly all rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from mlforge.contracts.rules import Rule
from mlforge.contracts.sqltext import literal, name, names
from mlforge.contracts.staging import COPIES
from mlforge.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

_HINT = "correct the contract"
_MANY = 20_000  # rows from which on a column's distinct values are asked before every row is
_FEW = 10  # rows for each distinct value, at least, for that to pay
# Arrow type → PostgreSQL type that takes its values as they are.
_KINDS = {
    "string": "text",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "double": "double precision",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamptz",
}
_SESSION = (
    "SET TRANSACTION READ ONLY",  # a contract's SQL only ever asks
    "SET LOCAL jit = off",  # compiling dozens of short conditions takes longer than computing them
    "SET LOCAL parallel_setup_cost = 100",
    "SET LOCAL parallel_tuple_cost = 0.001",
)


@dataclass
class Figures:
    """What was measured.

    Attributes:
        counts: Partition key → rows that came, distinct rows.
        values: Rule → partition key → its figure; for a rule on rows, how many break it.
    """

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    values: dict[str, dict[str, float | None]] = field(default_factory=dict)


def measure(
    connection: psycopg.Connection[Any],
    table: str,
    rules: Sequence[Rule],
    *,
    rows: int,
    known_unique: Collection[tuple[str, ...]] = (),
    values: pa.Table | None = None,
) -> Figures:
    """Return each rule's figure in each partition of a staging table; custom rules are left out.

    Args:
        connection: Without an open transaction.
        table: The table's name in the schema `staging`.
        rules: What to measure.
        rows: How many rows it has.
        known_unique: Columns of which it is known already that no two rows share them.
        values: The same rows, if they are at hand: most rules speak of one column, which has few distinct values.

    Raises:
        SpecError: A rule's SQL cannot be computed, or gives no number.
    """
    staged = sql.Identifier("staging", table).as_string(None)
    figures = Figures()
    with connection.transaction():
        for statement in _SESSION:
            connection.execute(statement.encode())
        try:
            with connection.transaction():
                clean = _clean_by_distinct_values(connection, rules, values) if rows >= _MANY and values else set()
                _measure(connection, staged, rules, figures, clean, known_unique)
        except psycopg.Error as error:
            _blame(connection, staged, rules)
            raise SpecError(f"the rules cannot be computed: {_first_line(error)}", hint=_HINT) from error
    return figures


def _measure(
    connection: psycopg.Connection[Any],
    staged: str,
    rules: Sequence[Rule],
    figures: Figures,
    clean: Collection[str],
    known_unique: Collection[tuple[str, ...]],
) -> None:
    asked = [rule for rule in rules if rule.name not in clean and _aggregate(rule)]
    columns = "".join(f", {_aggregate(rule)}" for rule in asked)
    found = _ask(
        connection,
        f"SELECT partition_key, sum({COPIES})::bigint, count(*){columns} FROM {staged} GROUP BY partition_key"  # noqa: S608
        " ORDER BY partition_key",
    )
    figures.counts = {key: (came, distinct) for key, came, distinct, *_ in found}
    for place, rule in enumerate(asked, start=3):
        figures.values[rule.name] = {row[0]: _number(row[place], rule) for row in found}
    nothing: dict[str, float | None] = dict.fromkeys(figures.counts, 0.0)
    for rule in rules:
        if rule.name in clean:
            figures.values[rule.name] = nothing
        elif rule.unique:
            twins = {} if rule.unique in known_unique else dict(_ask(connection, _twins(rule, staged)))
            figures.values[rule.name] = {key: float(twins.get(key, 0)) for key in figures.counts}
        elif rule.query:
            answers = _ask(connection, _scalar(rule.query, staged, list(figures.counts)))
            figures.values[rule.name] = {key: _number(value, rule) for key, value in answers}


def _aggregate(rule: Rule) -> str | None:
    return f"count(*) FILTER (WHERE {rule.broken})" if rule.broken is not None else rule.aggregate


def _clean_by_distinct_values(connection: psycopg.Connection[Any], rules: Sequence[Rule], values: pa.Table) -> set[str]:
    """Return the rules that no value of their column breaks: what few values show need not be asked of every row."""
    import pyarrow.compute as pc

    clean: set[str] = set()
    for column in values.column_names:
        about = [rule for rule in rules if rule.distinct == column]
        kind = _KINDS.get(str(values[column].type))
        if not about or kind is None:
            continue
        distinct = pc.unique(values[column])
        if len(distinct) > len(values) // _FEW:
            continue
        counts = ", ".join(f"count(*) FILTER (WHERE {rule.broken})" for rule in about).replace("%", "%%")
        query = f"SELECT {counts} FROM unnest(%s::{kind}[]) AS asked({name(column).replace('%', '%%')})"  # noqa: S608
        found = connection.execute(query.encode(), [distinct.to_pylist()]).fetchone() or ()
        clean |= {rule.name for rule, count in zip(about, found, strict=True) if not count}
    return clean


def _twins(rule: Rule, staged: str) -> str:
    columns = names(rule.unique)
    whole = " AND ".join(f"{name(column)} IS NOT NULL" for column in rule.unique)
    return (
        "SELECT partition_key, sum(twins)::bigint FROM ("  # noqa: S608
        f"SELECT partition_key, count(*) AS twins FROM {staged} WHERE {whole}"
        f" GROUP BY partition_key, {columns} HAVING count(*) > 1) AS groups GROUP BY partition_key"
    )


def _scalar(query: str, staged: str, keys: Sequence[str]) -> str:
    """Return the query that asks an author's query of each partition by itself."""
    asked = query.replace("${table}", "partition_rows")
    return (
        f"SELECT key, (WITH partition_rows AS NOT MATERIALIZED (SELECT * FROM {staged} WHERE partition_key = key)"  # noqa: S608
        f" SELECT * FROM ({asked}) AS answer) FROM unnest({literal(list(keys))}::text[]) AS parts(key)"
    )


def broken_condition(rule: Rule, staged: str) -> str:
    """Return the SQL condition that holds for exactly the rows that break a rule."""
    if rule.broken is not None:
        return rule.broken
    columns = names(("partition_key", *rule.unique))
    twins = f"SELECT {columns} FROM {staged} GROUP BY {columns} HAVING count(*) > 1"  # noqa: S608
    return f"({columns}) IN ({twins})"  # a row with a missing value is equal to none


def _blame(connection: psycopg.Connection[Any], staged: str, rules: Sequence[Rule]) -> None:
    """Ask each rule by itself, so that the error of one that is wrong names it."""
    keys = [key for (key,) in _ask(connection, f"SELECT DISTINCT partition_key FROM {staged}")]  # noqa: S608
    for rule in rules:
        if rule.query:
            query = _scalar(rule.query, staged, keys)
        elif _aggregate(rule):
            query = f"SELECT {_aggregate(rule)} FROM {staged} GROUP BY partition_key"  # noqa: S608
        else:
            continue
        try:
            with connection.transaction():
                _ask(connection, query)
        except psycopg.Error as error:
            raise SpecError(f"the rule {rule.name!r} cannot be computed: {_first_line(error)}", hint=_HINT) from error


def _number(value: Any, rule: Rule) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float | Decimal):
        return float(value)
    raise SpecError(f"the query of the rule {rule.name!r} gives {value!r}, which is no number", hint=_HINT)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _ask(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    # A contract's SQL is its author's own; without parameters, a per cent sign in it is no placeholder.
    return connection.execute(query.encode()).fetchall()
