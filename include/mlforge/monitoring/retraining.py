"""Whether what monitoring has found is a cause that a training helps against."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlforge.drift import GONE
from mlforge.errors import MAX_EXAMPLES
from mlforge.refs import DriftReport
from mlforge.spec import UseCase

# With fewer outcomes a bad day looks like a bad model.
MINIMUM_OUTCOMES = 500


@dataclass(frozen=True)
class RetrainingCause:
    """Whether a training helps, and against what, or why not."""

    helps: bool
    why: str


def retraining_cause(use_case: UseCase, report: DriftReport) -> RetrainingCause:
    """Return whether a training helps against what a report says.

    It does when the share of drifted columns reaches `monitors.alert_share`, or when the champion's answers are no
    better than the mean of their outcomes. It does not against columns that are gone: their source is to be mended.
    """
    gone = sorted(column for column, finding in report.findings.items() if finding in GONE)
    if gone:
        return RetrainingCause(False, f"a training does not bring back what is gone or empty: {_some(gone)}")
    share, compared = drifted_share(report)
    limit = use_case.monitors.alert_share
    if report.drifted and share >= limit:
        drifted = f"{len(report.drifted)} of {compared} columns have drifted: {_some(report.drifted)}"
        return RetrainingCause(True, drifted)
    worse = _no_better_than_the_mean(report.performance)
    if worse:
        return RetrainingCause(True, worse)
    return RetrainingCause(False, f"{share:.0%} of the columns have drifted; from {limit:.0%} on a training helps")


def drifted_share(report: DriftReport) -> tuple[float, int]:
    """Return the share of a report's columns that have drifted, and how many columns it compared."""
    compared = len(report.scores.keys() | set(report.drifted))
    return (len(report.drifted) / compared if compared else 0.0), compared


def _no_better_than_the_mean(performance: dict[str, float]) -> str:
    """Return how the champion's answers fare beside the mean of their own outcomes, when they are no better."""
    outcomes = int(performance.get("outcomes", 0))
    if outcomes < MINIMUM_OUTCOMES:
        return ""
    rate, loss, explained = (performance.get(name) for name in ("positive_rate", "log_loss", "r2"))
    if rate is not None and loss is not None and 0 < rate < 1:
        mean_loss = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
        if loss > mean_loss:
            return f"over {outcomes:,} outcomes the log loss is {loss:.4f}, that of their mean {mean_loss:.4f}"
    if explained is not None and explained < 0:
        return f"over {outcomes:,} outcomes the answers are worse than their mean: R² is {explained:.3f}"
    return ""


def _some(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(names[:MAX_EXAMPLES])
    return shown if len(names) <= MAX_EXAMPLES else f"{shown} and {len(names) - MAX_EXAMPLES} more"
