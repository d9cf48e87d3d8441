"""Scores that are numbers: without them, nothing else can be told."""

from __future__ import annotations

from mlforge.registry.checks.check import Check, Figure
from mlforge.registry.checks.evidence import Evidence


def check_numbers(evidence: Evidence) -> list[Check]:
    """Return a failed check where the candidate's scores cannot be measured, else nothing."""
    own = evidence.own
    if own.unusable is None:
        return []
    figures: dict[str, Figure] = {"rows": len(evidence.test), "wrong": own.wrong}
    return [Check(name="scores are numbers", passed=False, detail=own.unusable, figures=figures)]
