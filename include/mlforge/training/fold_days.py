"""Which days each fold is fitted, stopped and scored on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import TrainingError
from mlforge.spec import UseCase

Day = np.datetime64
Times = NDArray[np.datetime64]
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class FoldDays:
    """The days of a fold, UTC; each span begins with its first day and ends before its second one.

    Attributes:
        first: First day that is fitted on.
        stop: First day that boosting is stopped and the calibration is fitted on.
        gap: First day that is left out; the first of `start` where none is.
        start: First day that is scored.
        end: The day after the last one that is scored.
    """

    first: Day
    stop: Day
    gap: Day
    start: Day
    end: Day

    @property
    def fitted(self) -> str:
        """The fitted days, as people read them."""
        return f"{self.first}..{self.stop - _DAY}"

    @property
    def stopping(self) -> str:
        """The days that boosting is stopped on, as people read them."""
        return f"{self.stop}..{self.gap - _DAY}"

    @property
    def scored(self) -> str:
        """The scored days, as people read them."""
        return f"{self.start}..{self.end - _DAY}"

    def rows(self, times: Times) -> dict[str, slice]:
        """Return the rows that are fitted, stopping and scored, of rows in the order of their times."""
        spans = {"fitted": (self.first, self.stop), "stopping": (self.stop, self.gap), "scored": (self.start, self.end)}
        return {name: slice(*np.searchsorted(times, span).tolist()) for name, span in spans.items()}


def fold_days(use_case: UseCase, times: Times, end: Day) -> Iterator[FoldDays]:
    """Give the days of each fold, oldest first; the last one's scored days are the newest before `end`.

    Args:
        use_case: Says how many folds; without `training.cross_validation` one, scored on the validation days.
        times: Of all rows that may be used, in order, UTC.
        end: The first test day.

    Raises:
        TrainingError: There are fewer days than the folds need.
    """
    training = use_case.training
    asked = training.cross_validation
    days = np.unique(times.astype("datetime64[D]"))
    length, folds, gap = (asked.days, asked.folds, asked.gap_days) if asked else (training.validation_days, 1, 0)
    starts = [end - (folds - place) * length * _DAY for place in range(folds)]
    span = starts[0] - gap * _DAY - days[0]
    for start in starts:
        before = start - gap * _DAY
        first = before - span if asked and asked.window == "sliding" else days[0]
        within = days[(days >= first) & (days < before)]
        if len(within) < 2:
            raise TrainingError(
                f"{folds} folds of {length} days leave {len(within)} days to fit the fold scored from {start} on",
                where=f"{use_case.name}, training.cross_validation",
                evidence=[f"{len(times)} rows from {days[0]} to {days[-1]}, {len(days)} days have rows"],
                hint="load more days, raise training.window_days, or lower cross_validation.folds or .days",
            )
        yield FoldDays(first, _stop(within, training.validation_days, before), before, start, start + length * _DAY)


def _stop(days: Times, longest: int, before: Day) -> Day:
    """Return the first of the days that stop: the validation's length, a quarter of the days with rows at most."""
    quarter = days[-max(1, len(days) // 4)]
    return min(days[-1], max(before - longest * _DAY, quarter))
