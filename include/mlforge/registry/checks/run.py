"""All checks in the order in which a card tells them."""

from __future__ import annotations

from mlforge.registry.checks.baselines import check_baselines
from mlforge.registry.checks.calibration import check_calibration
from mlforge.registry.checks.champion import check_champion
from mlforge.registry.checks.check import Check
from mlforge.registry.checks.cost import check_latency, check_size
from mlforge.registry.checks.data import check_contract, check_drift
from mlforge.registry.checks.evidence import Evidence
from mlforge.registry.checks.labels import check_labels
from mlforge.registry.checks.numbers import check_numbers
from mlforge.registry.checks.segments import Group, check_segments

_OF_SCORES = (check_baselines, check_calibration, check_champion, check_labels)
_OF_THE_REST = (check_latency, check_size, check_contract, check_drift)


def run_checks(evidence: Evidence) -> tuple[list[Check], tuple[Group, ...]]:
    """Return every check that the use case asks for, and the groups of its guardrails.

    A candidate whose scores are no numbers is refused for that alone; what does not rest on them is told all the same.
    """
    checks = check_numbers(evidence)
    groups: tuple[Group, ...] = ()
    if not checks:
        checks += [check for judge in _OF_SCORES for check in judge(evidence)]
        guardrails, groups = check_segments(evidence)
        checks += guardrails
    return checks + [check for judge in _OF_THE_REST for check in judge(evidence)], groups
