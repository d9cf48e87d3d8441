"""What becomes of data that is not as its contract says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlforge.contracts.rules import Finding, Rule, show
from mlforge.errors import ContractError
from mlforge.spec import Dataset

Outcome = Literal["passed", "warned", "quarantined", "failed"]
_HINT = "correct the source, or the contract if the rule is wrong"


@dataclass(frozen=True)
class Counts:
    """Rows of one partition: in = kept + broken + duplicate."""

    rows_in: int
    distinct: int
    broken: int

    @property
    def kept(self) -> int:
        """Rows that may be published."""
        return self.distinct - self.broken

    @property
    def duplicate(self) -> int:
        """Exact copies beyond the first."""
        return self.rows_in - self.distinct


def total(counts: Iterable[Counts]) -> Counts:
    """Return the rows of several partitions together."""
    each = list(counts)
    return Counts(sum(c.rows_in for c in each), sum(c.distinct for c in each), sum(c.broken for c in each))


@dataclass(frozen=True)
class Decision:
    """What the policy makes of one partition.

    Attributes:
        reasons: Why it fails; empty unless it does.
    """

    counts: Counts
    outcome: Outcome
    reasons: tuple[str, ...] = ()


def sets_aside(dataset: Dataset, rule: Rule) -> bool:
    """Return whether rows that break a rule are set aside."""
    if rule.scope != "row" or rule.severity != "error":
        return False
    return rule.held or rule.unique != () or dataset.policy.broken_rows != "warn"


def decide(
    dataset: Dataset, counts: Mapping[str, Counts], findings: Sequence[Finding], extra_columns: Sequence[str] = ()
) -> dict[str, Decision]:
    """Return what becomes of each partition by itself: a range passes if, and only if, each of its days does."""
    broken: dict[str, list[Finding]] = {key: [] for key in counts}
    for finding in findings:
        if not finding.passed:
            broken[finding.partition_key].append(finding)
    return {key: _decide(dataset, counts[key], broken[key], extra_columns) for key in counts}


def _decide(dataset: Dataset, counts: Counts, broken: Sequence[Finding], extra_columns: Sequence[str]) -> Decision:
    policy = dataset.policy
    reasons = [
        f"{finding.rule.name} has {show(finding.observed)}, it must be {finding.rule.bound.text}"
        for finding in broken
        if finding.rule.scope == "partition" and finding.rule.severity == "error" and policy.broken_rows != "warn"
    ]
    if counts.broken > policy.quarantine_up_to * counts.distinct:
        reasons.append(
            f"{counts.broken} of {counts.distinct} rows ({counts.broken / counts.distinct:.1%}) break the contract,"
            f" {policy.quarantine_up_to:.1%} may"
        )
    if extra_columns and policy.extra_columns == "fail":
        reasons.append(f"columns that the contract does not name: {', '.join(extra_columns)}")
    told = any(finding.rule.severity != "info" and not sets_aside(dataset, finding.rule) for finding in broken)
    if reasons:
        return Decision(counts, "failed", tuple(reasons))
    if counts.broken:
        return Decision(counts, "quarantined")
    return Decision(counts, "warned" if told or (extra_columns and policy.extra_columns == "warn") else "passed")


def contract_error(
    where: str, dataset: Dataset, decisions: Mapping[str, Decision], findings: Sequence[Finding], page: str | None
) -> ContractError | None:
    """Return the error that refuses the partitions, or none if the policy lets them pass.

    Args:
        where: Use case, dataset and partition.
        dataset: With its policy.
        decisions: What became of each partition.
        findings: What the rules showed.
        page: Where the results can be read.
    """
    failed = {key: decision for key, decision in decisions.items() if decision.outcome == "failed"}
    if not failed:
        return None
    hint = f"see {page}; {_HINT}" if page else _HINT
    of_all = "" if len(decisions) == 1 else f" in {len(failed)} of {len(decisions)} partitions"
    broken = [f for f in findings if not f.passed and f.partition_key in failed and f.rule.severity == "error"]
    whole = [finding for finding in broken if finding.rule.scope == "partition"]
    if whole and dataset.policy.broken_rows != "warn":
        rule = whole[0].rule
        shown = [f"{each.partition_key} has {show(each.observed)}" for each in whole if each.rule == rule]
        return ContractError(
            f"broken as a whole{of_all}; it must be {rule.bound.text}",
            where=f"{where}, rule {rule.name}",
            evidence=shown,
            hint=hint,
        )
    rows = [finding for finding in broken if sets_aside(dataset, finding.rule)]
    reason = next(iter(failed.values())).reasons[0]
    first = min(failed)
    if not rows:
        return ContractError(f"{reason}{of_all}", where=where, hint=hint)
    totals: dict[str, int] = {}
    for finding in rows:
        totals[finding.rule.name] = totals.get(finding.rule.name, 0) + finding.rows_failed
    worst = max(totals, key=lambda rule: totals[rule])
    days = "" if len(decisions) == 1 else f" of {first}, one of {len(failed)} of {len(decisions)} partitions:"
    examples = [row for finding in rows if finding.rule.name == worst for row in finding.examples]
    return ContractError(
        f"{days} {reason}; most of them, {totals[worst]}, this rule".strip(),
        where=f"{where}, rule {worst}",
        evidence=[json.dumps(row) for row in examples],
        hint=hint,
    )
