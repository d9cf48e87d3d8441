"""Rows that break rules: marked in staging, counted, and a few of them shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from mlforge.contracts.measure import broken_condition
from mlforge.contracts.policy import Counts, sets_aside
from mlforge.contracts.rules import Finding, Rule
from mlforge.contracts.sqltext import literal, name
from mlforge.contracts.staging import RULES
from mlforge.spec import Contract, Dataset

_EXAMPLES = 5
_COUNTS: LiteralString = """
    SELECT partition_key, sum(_copies)::bigint, count(*), count(_rules) FROM {table} GROUP BY partition_key
"""


def mark_rows(
    connection: psycopg.Connection[Any], table: str, dataset: Dataset, findings: Sequence[Finding]
) -> dict[str, Counts] | None:
    """Write into each row that is to be set aside which rules it breaks; return the counts, none if no row is.

    Args:
        connection: Its open transaction writes.
        table: The table's name in the schema `staging`.
        dataset: With its policy.
        findings: What the rules showed.
    """
    staged = sql.Identifier("staging", table).as_string(None)
    broken = [rule for rule in _broken_rules(findings) if sets_aside(dataset, rule)]
    if not broken:
        return None
    conditions = {rule.name: broken_condition(rule, staged) for rule in sorted(broken, key=lambda rule: rule.name)}
    cases = ", ".join(f"CASE WHEN {condition} THEN {literal(rule)} END" for rule, condition in conditions.items())
    any_of = " OR ".join(f"({condition})" for condition in conditions.values())
    # A contract's SQL is its author's own.
    update = f"UPDATE {staged} SET {RULES} = array_remove(ARRAY[{cases}]::text[], NULL) WHERE {any_of}"  # noqa: S608
    connection.execute(update.encode())
    rows = connection.execute(sql.SQL(_COUNTS).format(table=sql.Identifier("staging", table))).fetchall()
    return {key: Counts(*counts) for key, *counts in rows}


def with_examples(
    connection: psycopg.Connection[Any], table: str, contract: Contract, findings: Sequence[Finding]
) -> list[Finding]:
    """Return the findings with the first few rows that break each rule, by partition."""
    staged = sql.Identifier("staging", table).as_string(None)
    examples = {rule.name: _examples(connection, staged, contract, rule) for rule in _broken_rules(findings)}
    return [
        finding
        if finding.passed
        else replace(finding, examples=tuple(examples.get(finding.rule.name, {}).get(finding.partition_key, ())))
        for finding in findings
    ]


def _broken_rules(findings: Sequence[Finding]) -> list[Rule]:
    broken = {finding.rule.name: finding.rule for finding in findings if not finding.passed}
    return [rule for rule in broken.values() if rule.scope == "row"]


def _examples(
    connection: psycopg.Connection[Any], staged: str, contract: Contract, rule: Rule
) -> dict[str, list[dict[str, Any]]]:
    columns = list(dict.fromkeys([*contract.key, *rule.columns])) or contract.column_names
    shown = ", ".join(map(name, columns))
    query = (
        "SELECT mlforge_key, to_jsonb(shown) - '{mlforge_key,mlforge_place}'::text[] FROM ("  # noqa: S608
        "SELECT partition_key AS mlforge_key,"
        f" row_number() OVER (PARTITION BY partition_key ORDER BY _row_id) AS mlforge_place, {shown}"
        f" FROM {staged} WHERE {broken_condition(rule, staged)}) AS shown"
        f" WHERE mlforge_place <= {_EXAMPLES} ORDER BY mlforge_key, mlforge_place"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for key, row in connection.execute(query.encode()).fetchall():
        found.setdefault(key, []).append(row)
    return found
