"""Better than simple models."""

from __future__ import annotations

from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence


def check_baselines(evidence: Evidence) -> list[Check]:
    """Return for each baseline of `gates.beat_baselines` whether the candidate's metric is better."""
    gates = evidence.use_case.gates
    own = evidence.own.metrics.get(gates.metric)
    return [
        _check(gates.metric, own, evidence.candidate.baselines.get(name, {}).get(gates.metric), name)
        for name in gates.beat_baselines
    ]


def _check(metric: str, own: float | None, other: float | None, baseline: str) -> Check:
    name = f"beats {baseline}"
    if own is None:
        return Check(name=name, passed=False, detail=f"{metric} of the candidate is no number")
    if other is None:
        return Check(name=name, passed=False, detail=f"{baseline} has no {metric}: evaluate the candidate again")
    better = own < other
    detail = f"{metric} {own:.4f} {'<' if better else '≥'} {other:.4f} of {baseline}"
    return Check(name=name, passed=better, detail=detail, figures={"candidate": own, "baseline": other})
