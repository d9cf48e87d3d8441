"""Scores that are numbers: without them, nothing else can be told."""

from __future__ import annotations

from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence


def check_numbers(evidence: Evidence) -> list[Check]:
    """Return a failed check where the candidate's scores cannot be measured, else nothing."""
    own = evidence.own
    if own.unusable is None:
        return []
    rows = len(evidence.test)
    detail = f"{own.unusable} for {own.count:,} of {rows:,} rows"
    return [Check(name="scores are numbers", passed=False, detail=detail, figures={"rows": rows, "wrong": own.count})]
