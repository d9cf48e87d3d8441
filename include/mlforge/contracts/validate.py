"""Great Expectations on a staging table."""

from __future__ import annotations

import functools
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.contracts.rules import Rule, Verdict
from mlforge.contracts.staging import ROW_ID
from mlforge.contracts.translate import row_rule
from mlforge.errors import SpecError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch

_HINT = "correct the contract"
_SIEVE = "any row rule in SQL"


def validate(table: str, rules: Sequence[Rule]) -> list[Verdict]:
    """Return what Great Expectations finds on a committed staging table, one verdict per rule, in their order.

    Args:
        table: Its name in the schema `staging`.
        rules: What to check.

    Raises:
        SpecError: A rule's SQL cannot be computed.
    """
    # Each expectation costs GX some 10 ms of its own, so conditions in SQL are first asked all at once; only what is
    # broken is then asked again by its own expectation.
    in_sql = [rule for rule in rules if rule.scope == "row" and rule.broken is not None]
    others = [rule for rule in rules if rule not in in_sql]
    sieve = row_rule(_SIEVE, "error", " OR ".join(f"({rule.broken})" for rule in in_sql), ()) if in_sql else None
    with _batch(table) as batch:
        try:
            found = _run(batch, [*others, *([sieve] if sieve else [])], "BASIC")
        except SpecError:
            _require_sound(in_sql, table)
            raise
        if sieve and not found[_SIEVE]["success"]:
            found |= _run(batch, _broken(in_sql, table), "BASIC")
        bounds = [rule for rule in others if rule.scope == "partition" and not found[rule.name]["success"]]
        found |= _run(batch, bounds, "COMPLETE") if bounds else {}  # which partitions, and what they have
    return [_verdict(rule, found.get(rule.name), table) for rule in rules]


@functools.cache
def _library() -> Any:
    """Import Great Expectations without its telemetry, its log lines and its progress bars."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return great_expectations, context


@contextmanager
def _batch(table: str) -> Iterator[Batch]:
    _, context = _library()
    name = f"staging_{secrets.token_hex(6)}"
    url = get_settings().postgres_url(driver="psycopg")
    options = "?options=-c%20timezone%3DUTC%20-c%20search_path%3Dstaging"
    source = context.data_sources.add_postgres(name, connection_string=url + options, create_temp_table=False)
    try:
        asset = source.add_table_asset(table, table_name=table)
        yield asset.add_batch_definition_whole_table("whole").get_batch()
    finally:
        source.get_engine().dispose()
        context.data_sources.delete(name)


def _run(batch: Batch, rules: Sequence[Rule], result_format: str | dict[str, Any]) -> dict[str, dict[str, Any]]:
    library, _ = _library()
    suite = library.ExpectationSuite(name=secrets.token_hex(6))
    for rule in rules:
        kind = getattr(library.expectations, rule.expectation)
        suite.expectations.append(kind(**rule.arguments, meta={"rule": rule.name}))
    found: dict[str, dict[str, Any]] = {}
    for result in batch.validate(suite, result_format=result_format).results:
        name = result.expectation_config.meta["rule"]
        info = result.exception_info or {}
        errors = [info] if "raised_exception" in info else list(info.values())
        raised = [error for error in errors if error.get("raised_exception")]
        if raised:
            message = str(raised[0].get("exception_message")).splitlines()[0]
            raise SpecError(f"the rule {name!r} cannot be computed: {message}", hint=_HINT)
        found[name] = {"success": bool(result.success), **(result.result or {})}
    return found


def _verdict(rule: Rule, details: dict[str, Any] | None, table: str) -> Verdict:
    if details is None or details["success"]:
        return Verdict(rule, passed=True)
    if rule.scope == "partition":
        rows = [dict(row) for row in details["details"]["unexpected_rows"]]
        return Verdict(rule, passed=False, observed={row["partition_key"]: float(row["observed"]) for row in rows})
    condition = rule.broken or _twin_condition(rule, table)
    return Verdict(rule, passed=False, row_ids=_rows_where(condition, table))


def _twin_condition(rule: Rule, table: str) -> str:
    """Return the SQL condition of the rows that share a key; GX counts them but does not name them."""
    columns = ", ".join(sql.Identifier(name).as_string(None) for name in rule.arguments["column_list"])
    staged = sql.Identifier("staging", table).as_string(None)
    twins = f"SELECT {columns} FROM {staged} GROUP BY {columns} HAVING count(*) > 1"  # noqa: S608
    return f"({columns}) IN ({twins})"  # a row with a missing value is equal to none


def _require_sound(rules: Sequence[Rule], table: str) -> None:
    """Plan each SQL condition by itself, so that the error of one that is wrong names its rule."""
    for rule in rules:
        try:
            _ask("EXPLAIN SELECT 1 FROM", table, f"WHERE {rule.broken}")
        except psycopg.Error as error:
            message = str(error).splitlines()[0]
            raise SpecError(f"the rule {rule.name!r} cannot be computed: {message}", hint=_HINT) from error


def _broken(rules: Sequence[Rule], table: str) -> list[Rule]:
    """Return the rules whose SQL condition holds for a row."""
    counts = ", ".join(f"count(*) FILTER (WHERE {rule.broken})" for rule in rules)
    (found,) = _ask(f"SELECT {counts} FROM", table)
    return [rule for rule, count in zip(rules, found, strict=True) if count]


def _rows_where(condition: str, table: str) -> tuple[int, ...]:
    """Return the ids of the rows for which a contract's SQL condition holds; GX lists only some of them."""
    return tuple(row_id for (row_id,) in _ask(f"SELECT {ROW_ID} FROM", table, f"WHERE {condition} ORDER BY 1"))


def _ask(select: str, table: str, rest: str = "") -> list[tuple[Any, ...]]:
    # A contract's SQL is its author's own.
    query = f"{select} {sql.Identifier('staging', table).as_string(None)} {rest}"
    with db.connect() as connection:
        return connection.execute(query.encode()).fetchall()
