"""Contract results written to the ledger: one row per check and partition, and one per rule of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg

from mlforge.contracts.policy import Decision
from mlforge.contracts.rules import Finding
from mlforge.spec import Contract

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


def record_check(
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
