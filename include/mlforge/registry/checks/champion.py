"""No worse than the champion, or surely better: whichever the rule asks for."""

from __future__ import annotations

from mlforge.refs import Release
from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence
from mlforge.registry.comparison import Comparison

_NAMES = {"non_inferiority": "no worse than the champion", "superiority": "better than the champion"}


def check_champion(evidence: Evidence) -> list[Check]:
    """Return whether the candidate keeps the rule beside the champion; nothing where there is no champion."""
    champion, theirs, gates = evidence.champion, evidence.theirs, evidence.use_case.gates
    if champion is None or theirs is None or evidence.own.unusable is not None:
        return []
    name = _NAMES[gates.rule]
    if theirs.unusable is not None:
        detail = (
            f"of the champion, release {champion.release_id}, {theirs.unusable}: nothing to compare with; "
            "roll back to the release before it"
        )
        return [Check(name=name, passed=False, detail=detail, figures={"wrong": theirs.wrong})]
    comparison = evidence.comparison
    if comparison is None:
        detail = f"the test rows lie in one {gates.resample}: no interval can be told; lengthen training.test_days"
        return [Check(name=name, passed=False, detail=detail, figures={"units": evidence.units})]
    return [_judge(name, champion, comparison, theirs.lacking, is_champion=champion.uri == evidence.candidate.uri)]


def _judge(
    name: str, champion: Release, comparison: Comparison, lacking: tuple[str, ...], *, is_champion: bool
) -> Check:
    figures = comparison.model_dump(
        include={"challenger", "champion", "difference", "lower", "upper", "margin", "confidence", "samples", "units"}
    )
    if is_champion:
        detail = f"it is the champion, release {champion.release_id}, already"
        return Check(name=name, passed=True, detail=detail, figures=figures)
    kept = comparison.passed
    if comparison.rule == "superiority":
        end = f"upper end {'<' if kept else '≥'} 0"
    else:
        end = f"upper end {'≤' if kept else '>'} {comparison.margin:g}"
    drawn = "" if comparison.resample == "row" else f" over {comparison.units} {comparison.resample}s"
    without = f"; scored without {', '.join(lacking)}, which are no more" if lacking else ""
    detail = (
        f"{comparison.metric} {comparison.challenger:.4f} against {comparison.champion:.4f} of release "
        f"{champion.release_id}: difference {comparison.difference:+.4f}, {comparison.confidence:.0%} interval"
        f"{drawn} {comparison.lower:+.4f} to {comparison.upper:+.4f}, {end}{without}"
    )
    return Check(name=name, passed=kept, detail=detail, figures=figures)
