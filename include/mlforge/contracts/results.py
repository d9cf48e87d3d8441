"""What checks showed: summed up, and read from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from mlforge import db
from mlforge.contracts.policy import Counts, Decision
from mlforge.contracts.rules import Finding, show

HISTORY = 30

_NEWEST: LiteralString = """
    SELECT partition_key, attempt, contract_version, verdict, rows_in, rows_kept, rows_broken, rows_duplicate,
           extra_columns, reason, checked_at
    FROM ledger.contract_checks
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)
    ORDER BY check_id DESC LIMIT 1
"""
_RULES: LiteralString = """
    SELECT rule, severity, passed, rows_checked, rows_failed, observed FROM ledger.contract_results
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = %(key)s AND attempt = %(attempt)s
    ORDER BY result_id
"""
_HISTORY: LiteralString = """
    SELECT partition_key, verdict, rows_in, rows_kept, rows_broken, rows_duplicate FROM (
        SELECT DISTINCT ON (partition_key) * FROM ledger.contract_checks
        WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key <= %(last)s
            AND (%(first)s::text IS NULL OR partition_key >= %(first)s)
        ORDER BY partition_key DESC, check_id DESC LIMIT %(limit)s
    ) AS newest ORDER BY partition_key
"""


@dataclass(frozen=True)
class RuleResult:
    """What a rule showed, as the page and the ledger tell it.

    Attributes:
        bound: What its figure must be, in words.
        value: Its figure; of a range, the worst day's.
        partitions_failed: How many partitions break it.
    """

    name: str
    severity: str
    scope: str
    passed: bool
    bound: str
    value: float | None
    rows_checked: int
    rows_failed: int
    description: str = ""
    examples: tuple[dict[str, Any], ...] = ()
    partitions_failed: int = 0


@dataclass(frozen=True)
class CheckResult:
    """One check of a partition or a range, as the page tells it.

    Attributes:
        counts: Rows of all its partitions together.
        reasons: Why it failed.
        partitions: Partition key → what became of it, newest last, up to the checked one.
    """

    use_case: str
    dataset: str
    partition_key: str
    contract_version: str
    attempt: int
    outcome: str
    counts: Counts
    rules: tuple[RuleResult, ...]
    checked_at: datetime
    reasons: tuple[str, ...] = ()
    extra_columns: tuple[str, ...] = ()
    partitions: Mapping[str, tuple[str, Counts]] = field(default_factory=dict)


def summarise(findings: Sequence[Finding], decisions: Mapping[str, Decision]) -> tuple[RuleResult, ...]:
    """Return one result per rule: of several partitions, the sum of the rows and the first wrong figure."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule.name, []).append(finding)
    checked = sum(decision.counts.distinct for decision in decisions.values())
    return tuple(_summary(found, checked) for found in by_rule.values())


def _summary(found: Sequence[Finding], checked: int) -> RuleResult:
    rule, wrong = found[0].rule, [finding for finding in found if not finding.passed]
    failed = sum(finding.rows_failed for finding in found)
    return RuleResult(
        name=rule.name,
        severity=rule.severity,
        scope=rule.scope,
        passed=not wrong,
        bound=rule.bound.text,
        value=float(failed) if rule.scope == "row" else (wrong or found)[0].observed,
        rows_checked=checked,
        rows_failed=failed,
        description=rule.description,
        examples=tuple(row for finding in wrong for row in finding.examples)[:5],
        partitions_failed=len(wrong),
    )


def newest_result(use_case: str, dataset: str, keys: Sequence[str], bounds: Mapping[str, Any]) -> CheckResult | None:
    """Return the newest check of any of some partitions, read from the ledger; none if there is none.

    Args:
        use_case: Name of the use case.
        dataset: Name of the dataset.
        keys: Partition keys.
        bounds: Rule → `Rule`, for what the ledger does not tell of it: its bound, its scope, its words.
    """
    names = {"use_case": use_case, "dataset": dataset, "keys": list(keys)}
    with db.connect() as connection:
        row = connection.execute(_NEWEST, names).fetchone()
        if row is None:
            return None
        key, attempt, version, verdict, came, kept, broken, _, extra, reason, checked_at = row
        rules = connection.execute(_RULES, {**names, "key": key, "attempt": attempt}).fetchall()
        partitions = history(connection, use_case, dataset, key)
    return CheckResult(
        use_case=use_case,
        dataset=dataset,
        partition_key=key,
        contract_version=version,
        attempt=attempt,
        outcome=verdict,
        counts=Counts(came, kept + broken, broken),
        rules=tuple(_from_ledger(*rest, rule=bounds.get(rest[0])) for rest in rules),
        checked_at=checked_at,
        reasons=tuple(filter(None, [reason])),
        extra_columns=tuple(extra),
        partitions=partitions,
    )


def _from_ledger(
    name: str, severity: str, passed: bool, checked: int, failed: int, observed: dict[str, Any], *, rule: Any
) -> RuleResult:
    scope = "partition" if "value" in observed else "row"
    value = observed.get("value") if scope == "partition" else failed
    return RuleResult(
        name=name,
        severity=severity,
        scope=scope,
        passed=passed,
        bound=observed.get("bound") or (rule.bound.text if rule else ""),
        value=None if value is None else float(value),
        rows_checked=checked,
        rows_failed=failed,
        description=rule.description if rule else "",
        examples=tuple(observed.get("examples", ())),
        partitions_failed=0 if passed else 1,
    )


def history(
    connection: psycopg.Connection[Any], use_case: str, dataset: str, last: str, first: str | None = None
) -> dict[str, tuple[str, Counts]]:
    """Return the newest verdict of each of the last partitions up to one, oldest first."""
    limit = HISTORY if first is None else 1000
    values = {"use_case": use_case, "dataset": dataset, "last": last, "first": first, "limit": limit}
    rows = connection.execute(_HISTORY, values).fetchall()
    return {key: (verdict, Counts(came, kept + broken, broken)) for key, verdict, came, kept, broken, _ in rows}


def warnings(findings: Sequence[Finding], aside: Sequence[str]) -> list[str]:
    """Return one line for each rule that is broken and neither sets rows aside nor is only an info.

    Args:
        findings: What the rules showed.
        aside: Names of the rules whose rows are set aside.
    """
    lines = {}
    for finding in findings:
        rule = finding.rule
        if finding.passed or rule.severity == "info" or rule.name in aside:
            continue
        if rule.scope == "row":
            total = sum(each.rows_failed for each in findings if each.rule is rule)
            lines[rule.name] = f"{rule.name}: {total:,} rows"
        else:
            wrong = [each for each in findings if each.rule is rule and not each.passed]
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            lines[rule.name] = (
                f"{rule.name}: {finding.partition_key} has {show(finding.observed)}{more}; it must be {rule.bound.text}"
            )
    return list(lines.values())
