"""Rows that broke their contract: how many, which, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import dict_row

from mlforge import db
from mlforge.errors import MAX_EXAMPLES, TerminalError
from mlforge.spec import UseCase

_COUNTS: LiteralString = """
    SELECT dataset, partition_key, rule, count(*), (array_agg(row ORDER BY row_id))[1:%(examples)s]
    FROM quarantine.rows, unnest(rules) AS rule
    WHERE use_case = %(use_case)s AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
        AND (%(key)s::text IS NULL OR partition_key = %(key)s) AND (%(rule)s::text IS NULL OR rule = %(rule)s)
    GROUP BY dataset, partition_key, rule ORDER BY dataset, partition_key, count(*) DESC, rule
"""
_ROWS: LiteralString = """
    SELECT row_id, rules, row, quarantined_at FROM quarantine.rows
    WHERE use_case = %s AND dataset = %s AND partition_key = %s ORDER BY row_id
"""
_RELEASED: LiteralString = """
    SELECT r.release_id, r.dataset, r.partition_key, r.rules, r.who, r.why, r.released_at,
           CASE WHEN r.fixed IS NULL THEN 'waived ' || array_to_string(r.waived, ', ') ELSE 'fixed' END AS how,
           CASE WHEN u.applied THEN 'in use' WHEN u.applied IS NULL THEN 'published'
                ELSE 'rests: the source changed the row' END AS state
    FROM ledger.quarantine_releases AS r
    LEFT JOIN LATERAL (
        SELECT applied FROM ledger.quarantine_release_uses WHERE release_id = r.release_id ORDER BY use_id DESC LIMIT 1
    ) AS u ON true
    WHERE r.use_case = %s ORDER BY r.release_id DESC
"""
_HIDDEN = "(personal)"


@dataclass(frozen=True)
class QuarantineCount:
    """How many rows of a partition break a rule; a row that breaks two is counted under both.

    Attributes:
        examples: The first few of them, key columns and no personal values.
    """

    dataset: str
    partition_key: str
    rule: str
    rows: int
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class QuarantinedRow:
    """A row in quarantine.

    Attributes:
        row_id: Its number, until its partition is published anew.
        rules: What it breaks.
        row: The contract's columns as JSON values.
    """

    row_id: int
    rules: list[str]
    row: dict[str, Any]
    quarantined_at: datetime


def quarantine_counts(
    use_case: UseCase, *, dataset: str | None = None, partition_key: str | None = None, rule: str | None = None
) -> list[QuarantineCount]:
    """Return how many rows are in quarantine, by dataset, partition and rule, with examples."""
    bound = {
        "use_case": use_case.name,
        "dataset": dataset,
        "key": partition_key,
        "rule": rule,
        "examples": MAX_EXAMPLES,
    }
    with db.connect() as connection:
        found = connection.execute(_COUNTS, bound).fetchall()
    return [
        QuarantineCount(name, key, broken, count, [_shown(use_case, name, row) for row in rows])
        for name, key, broken, count, rows in found
    ]


def _shown(use_case: UseCase, dataset: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what of a row an overview shows: its key, or all of it if it has none."""
    contract = use_case.contract(dataset)
    personal = {column.name for column in contract.columns if column.personal}
    names = contract.key or contract.column_names
    return {name: _HIDDEN if name in personal else row.get(name) for name in names}


def quarantined_rows(use_case: UseCase, dataset: str, partition_key: str) -> list[QuarantinedRow]:
    """Return the rows of a partition that are in quarantine, with the rules that they break."""
    names = use_case.contract(use_case_dataset(use_case, dataset)).column_names
    with db.connect() as connection:
        found = connection.execute(_ROWS, [use_case.name, dataset, partition_key]).fetchall()
    return [
        QuarantinedRow(number, list(rules), {name: row.get(name) for name in names}, since)
        for number, rules, row, since in found
    ]


def require_rows(use_case: UseCase, dataset: str, partition_key: str) -> list[QuarantinedRow]:
    """Return the rows of a partition that are in quarantine.

    Raises:
        TerminalError: There are none.
    """
    rows = quarantined_rows(use_case, dataset, partition_key)
    if not rows:
        raise TerminalError(
            "no row is in quarantine",
            where=f"{use_case.name}.{dataset} {partition_key}",
            hint=f"see `mlforge quarantine list {use_case.name}`",
        )
    return rows


def use_case_dataset(use_case: UseCase, dataset: str) -> str:
    """Return the name of a dataset that there is.

    Raises:
        SpecError: There is none of that name.
    """
    use_case.dataset(dataset)
    return dataset


def released_rows(use_case: UseCase) -> list[dict[str, Any]]:
    """Return what was released, newest first: how, by whom, why, and whether the source still brings the row."""
    with db.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_RELEASED, [use_case.name]).fetchall()
