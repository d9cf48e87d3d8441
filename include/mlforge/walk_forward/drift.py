"""Whether the week before differs from what a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlforge.drift import MINIMUM_ROWS, compared_columns, drift_scores
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Shift:
    """What a comparison found.

    Attributes:
        columns: How many were compared.
        drifted: Those that differ.
        problem: Why nothing could be compared; empty if it could.
    """

    columns: int
    drifted: tuple[str, ...] = ()
    problem: str = ""

    @property
    def share(self) -> float:
        """Share of drifted columns."""
        return len(self.drifted) / self.columns if self.columns else 0.0


def measure_shift(use_case: UseCase, trained_on: pa.Table, current: pa.Table) -> Shift:
    """Return which columns of the current rows differ from those that a model was trained on, as monitoring sees it.

    Raises:
        MonitoringError: There is no column to compare, or `monitors.drift_columns` names one that is not there.
    """
    rows = min(trained_on.num_rows, current.num_rows)
    if rows < MINIMUM_ROWS:
        return Shift(0, problem=f"{rows} rows, a drift score needs {MINIMUM_ROWS}")
    scores = drift_scores(trained_on, current, compared_columns(use_case, trained_on.schema))
    threshold = use_case.monitors.psi_threshold
    return Shift(len(scores), tuple(name for name, score in scores.items() if score >= threshold))
