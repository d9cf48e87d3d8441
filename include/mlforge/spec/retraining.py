"""`retraining` and `walk_forward`: when a model is trained anew, and how it is found out what pays."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, field_validator

from mlforge.spec.base import SpecModel

Policy = Literal["never", "expanding", "sliding", "on_drift"]


class Retraining(SpecModel):
    """When training is asked for.

    Attributes:
        on: `partition`: with each newest partition; `drift`: when monitoring finds drift; both by default.
        at: Wall-clock time from which a scheduled run asks, `HH:MM`, the first after the partition's end; none for at
            once.
        deadline: Wall-clock time by which the gate must have decided about the newest partition, `HH:MM`; later an
            alert is raised. None for no deadline.
        timezone: Of both times.
    """

    on: list[Literal["partition", "drift"]] = Field(default=["partition", "drift"])
    at: dt.time | None = None
    deadline: dt.time | None = None
    timezone: str = "UTC"

    @field_validator("at", "deadline", mode="before")
    @classmethod
    def _clock(cls, value: object) -> object:
        if type(value) is int:
            # YAML reads an unquoted 12:30 as 750, a number to the base of 60.
            return dt.time(value // 60 % 24, value % 60)
        if isinstance(value, str):
            return dt.datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 - a time of day, its zone is beside it
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}; write it as Europe/Berlin") from error
        return value

    def asks_from(self, end: dt.datetime) -> dt.datetime:
        """Return from when a training with a partition may be asked for, UTC: the first `at` after the partition's end.

        Args:
            end: First instant after the partition.
        """
        return end if self.at is None else self._first(self.at, end)

    def decided_by(self, end: dt.datetime) -> dt.datetime | None:
        """Return by when the gate must have decided, UTC: the first `deadline` after `asks_from`; none without one.

        Args:
            end: First instant after the partition.
        """
        if self.deadline is None:
            return None
        return self._first(self.deadline, self.asks_from(end) + dt.timedelta(microseconds=1))

    def _first(self, clock: dt.time, since: dt.datetime) -> dt.datetime:
        """Return the first instant, not before another one, at which a clock on the wall shows a time.

        A time that the clock skips is as much later as the clock was put forward; of one that comes twice, the first.
        """
        from zoneinfo import ZoneInfo

        zone = ZoneInfo(self.timezone)
        day = since.astimezone(zone).date()
        while True:
            instant = dt.datetime.combine(day, clock, zone).astimezone(dt.UTC)
            if instant >= since:
                return instant
            day += dt.timedelta(days=1)


class WalkForward(SpecModel):
    """A walk through history: trained as of each week, scored on the week that follows, beside what is live.

    Attributes:
        policies: Whether and on what the model is trained anew: `never` after the first week, each week on all days
            (`expanding`) or on the last `training.window_days` (`sliding`), or when a week has drifted (`on_drift`).
        drift_share: Share of drifted columns from which on `on_drift` trains anew.
        price_per_hour: What an hour of the machine costs, in any currency; none to tell the cost in time only.
    """

    policies: list[Policy] = Field(default=["never", "expanding", "sliding", "on_drift"], min_length=1)
    drift_share: float = Field(default=0.3, gt=0, le=1)
    price_per_hour: float | None = Field(default=None, gt=0)
