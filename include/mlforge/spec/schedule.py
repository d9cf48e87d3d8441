"""`schedule`: when partitions are due."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from mlforge.spec.base import SpecModel


class Schedule(SpecModel):
    """When partitions are due, and which days exist.

    Attributes:
        cron: When the partition that has just ended is taken, UTC; one tick per partition.
        period: How long a partition is. Weeks begin on the weekday of `start`; a week's key is its first day.
        start: First day of the first partition.
        end: First day of the last partition; none when it goes on.
    """

    cron: str = "0 0 * * *"
    period: Literal["day", "week"] = "day"
    start: dt.date
    end: dt.date | None = None

    @property
    def step_days(self) -> int:
        """Days of one partition."""
        return 7 if self.period == "week" else 1

    def first_day_of(self, day: dt.date) -> dt.date:
        """Return the first day of the partition in which a UTC day falls."""
        return day - dt.timedelta(days=(day - self.start).days % self.step_days)
