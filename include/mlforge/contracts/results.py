"""Contract results in the ledger: one row per check and partition, and one per rule of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from mlforge import db
from mlforge.contracts.policy import Counts, Decision
from mlforge.contracts.rules import Finding, show
from mlforge.spec import Contract

HISTORY = 30

_CHECKS: LiteralString = """
    INSERT INTO ledger.contract_checks (use_case, dataset, partition_key, attempt, contract_version, extra_columns,
        verdict, rows_in, rows_kept, rows_broken, rows_duplicate, reason, content_hash, quarantine_hash)
    SELECT %(use_case)s, %(dataset)s, key, %(attempt)s, %(version)s, %(extra)s,
           verdict, came, kept, broken, duplicate, reason, content_hash, quarantine_hash
    FROM unnest(%(keys)s::text[], %(verdicts)s::text[], %(came)s::bigint[], %(kept)s::bigint[], %(broken)s::bigint[],
                %(duplicate)s::bigint[], %(reasons)s::text[], %(hashes)s::text[], %(quarantine_hashes)s::text[])
         AS new(key, verdict, came, kept, broken, duplicate, reason, content_hash, quarantine_hash)
"""
# Most rules are kept by every row of every partition: they are sent once, not once for each partition.
_RESULTS: LiteralString = """
    INSERT INTO ledger.contract_results (use_case, dataset, attempt, contract_version, partition_key, rule, severity,
        passed, rows_checked, rows_failed, observed)
    SELECT %(use_case)s, %(dataset)s, %(attempt)s, %(version)s, key, rule, severity, passed, checked, failed, observed
    FROM (
        SELECT place, key, rule, severity, true AS passed, checked, 0 AS failed, '{}'::jsonb AS observed
        FROM unnest(%(clean_places)s::int[], %(clean_rules)s::text[], %(clean_severities)s::text[])
                 AS clean(place, rule, severity),
             unnest(%(all_keys)s::text[], %(all_checked)s::bigint[]) AS parts(key, checked)
        UNION ALL
        SELECT * FROM unnest(%(places)s::int[], %(keys)s::text[], %(rules)s::text[], %(severities)s::text[],
            %(passed)s::boolean[], %(checked)s::bigint[], %(failed)s::bigint[], %(observed)s::jsonb[])
    ) AS new ORDER BY place, key
"""
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


def record(
    connection: psycopg.Connection[Any],
    names: tuple[str, str, int],
    contract: Contract,
    decisions: Mapping[str, Decision],
    findings: Sequence[Finding],
    extra_columns: Sequence[str],
    hashes: Mapping[str, tuple[str, str]],
) -> None:
    """Write a check down.

    Args:
        connection: Its open transaction writes.
        names: Use case, dataset, attempt.
        contract: What was checked.
        decisions: What became of each partition.
        findings: What the rules showed.
        extra_columns: Columns that the contract does not name.
        hashes: Partition key → content hash, and hash of the rows set aside; none of a check that failed.
    """
    use_case, dataset, attempt = names
    common = {"use_case": use_case, "dataset": dataset, "attempt": attempt, "version": contract.version}
    counts = [decision.counts for decision in decisions.values()]
    connection.execute(
        _CHECKS,
        {
            **common,
            "extra": list(extra_columns),
            "keys": list(decisions),
            "verdicts": [decision.outcome for decision in decisions.values()],
            "came": [count.rows_in for count in counts],
            "kept": [count.kept for count in counts],
            "broken": [count.broken for count in counts],
            "duplicate": [count.duplicate for count in counts],
            "reasons": ["; ".join(decision.reasons) for decision in decisions.values()],
            "hashes": [hashes.get(key, ("", ""))[0] for key in decisions],
            "quarantine_hashes": [hashes.get(key, ("", ""))[1] for key in decisions],
        },
    )
    connection.execute(_RESULTS, {**common, **_result_values(decisions, findings)})


def _result_values(decisions: Mapping[str, Decision], findings: Sequence[Finding]) -> dict[str, list[Any]]:
    kept = Counter(finding.rule.name for finding in findings if finding.passed and finding.rule.scope == "row")
    clean = {name for name, count in kept.items() if count == len(decisions)}
    rules = {finding.rule.name: finding.rule for finding in findings}
    places = {name: place for place, name in enumerate(rules)}
    others = [finding for finding in findings if finding.rule.name not in clean]
    return {
        "clean_places": [place for name, place in places.items() if name in clean],
        "clean_rules": [name for name in places if name in clean],
        "clean_severities": [rules[name].severity for name in places if name in clean],
        "all_keys": list(decisions),
        "all_checked": [decision.counts.distinct for decision in decisions.values()],
        "places": [places[finding.rule.name] for finding in others],
        "keys": [finding.partition_key for finding in others],
        "rules": [finding.rule.name for finding in others],
        "severities": [finding.rule.severity for finding in others],
        "passed": [finding.passed for finding in others],
        "checked": [decisions[finding.partition_key].counts.distinct for finding in others],
        "failed": [finding.rows_failed for finding in others],
        "observed": [_observed(finding) for finding in others],
    }


def _observed(finding: Finding) -> str:
    if finding.passed and finding.rule.scope == "row":
        return "{}"
    told: dict[str, Any] = {} if finding.rule.scope == "row" else {"value": _plain(finding.observed)}
    if not finding.passed:
        told |= {"bound": finding.rule.bound.text}
        told |= {"examples": list(finding.examples)} if finding.examples else {}
    return json.dumps(told)


def _plain(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


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
