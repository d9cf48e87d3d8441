"""Probabilities that mean what they say, values that are neither high nor low on the whole."""

from __future__ import annotations

from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence


def check_calibration(evidence: Evidence) -> list[Check]:
    """Return whether calibration error and relative bias keep their limits, where there are limits."""
    gates = evidence.use_case.gates
    return [
        _check(name, evidence.own.metrics.get(score), limit, text)
        for name, limit, score, text in (
            ("calibrated", gates.maximum_calibration_error, "ece", "calibration error"),
            ("unbiased", gates.maximum_relative_bias, "relative_bias", "mean error as a share of the mean outcome"),
        )
        if limit is not None
    ]


def _check(name: str, value: float | None, limit: float, text: str) -> Check:
    if value is None:
        return Check(name=name, passed=False, detail=f"{text} cannot be told", figures={"limit": limit})
    kept = abs(value) <= limit
    detail = f"{text} {value:.4f} {'≤' if kept else '>'} {limit:g}"
    return Check(name=name, passed=kept, detail=detail, figures={"value": value, "limit": limit})
