"""The weeks of a walk: which there are, and what was known when one began."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from mlforge.errors import PartitionKeyError
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase

DAYS = 7
_STEP = timedelta(days=DAYS)


class UnfinishedWeekError(PartitionKeyError):
    """A week is not over when the schedule, or time itself, ends."""


@dataclass(frozen=True, order=True)
class Week:
    """A week of a walk, named by its first day.

    Its models know what was known at its first instant, and are scored on its rows.
    """

    first: date

    @property
    def key(self) -> str:
        """The week in writing."""
        return str(self.first)

    @property
    def as_of(self) -> datetime:
        """Its first instant, UTC: what became known later, its models do not know."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """First instant after it, UTC."""
        return self.as_of + _STEP

    @property
    def before(self) -> Self:
        """The week before."""
        return type(self)(self.first - _STEP)

    @property
    def after(self) -> Self:
        """The week after."""
        return type(self)(self.first + _STEP)


def first_week(use_case: UseCase) -> Week:
    """Return the first whole week of the schedule."""
    return Week(_first_on(use_case, use_case.schedule.start))


def schedule_start(use_case: UseCase) -> datetime:
    """Return the first instant of the first partition, UTC."""
    return datetime.combine(use_case.schedule.start, time(), UTC)


def last_week(use_case: UseCase) -> Week:
    """Return the last week of the schedule that is whole, or has ended by now where the schedule has no end."""
    schedule = use_case.schedule
    if use_case.last_day is None:
        day_after = datetime.now(UTC).date()
    else:
        day_after = use_case.last_day + timedelta(days=schedule.step_days)
    return Week(_first_on(use_case, day_after - _STEP - timedelta(days=DAYS - 1)))


def parse_weeks(use_case: UseCase, key: str) -> list[Week]:
    """Return the weeks that a key names, oldest first.

    Args:
        use_case: Whose weeks.
        key: A week's first day, or the first days of the first and the last week as `2013-04-01..2013-06-24`.

    Raises:
        PartitionKeyError: No week begins on such a day, or it lies outside the schedule.
        UnfinishedWeekError: It is not over yet.
    """
    days = PartitionRange.parse(key, step_days=DAYS)
    for day in (days.first, days.last):
        begin = _first_on(use_case, day - timedelta(days=DAYS - 1))
        if begin != day:
            raise PartitionKeyError(
                f"no week of a walk begins on {day}, a {day:%A}",
                where=use_case.name,
                hint=f"name the week by its first day, {begin}",
            )
    first, last = first_week(use_case), last_week(use_case)
    if days.first < first.first or days.last > last.first:
        almost = days.first >= first.first and Week(days.last).as_of <= last.end
        kind = UnfinishedWeekError if almost else PartitionKeyError
        raise kind(
            f"{key} is outside {first.key}..{last.key}, the whole weeks that there are",
            where=use_case.name,
            hint="choose weeks within, or correct `schedule` in use_case.yaml",
        )
    return [Week(each.first) for each in days]


def weeks_between(start: datetime, end: datetime, anchor: Week) -> Iterator[Week]:
    """Yield the weeks that have days between two instants, oldest first, in step with another week."""
    behind = -((anchor.as_of - start) // -_STEP)
    week = Week(anchor.first - behind * _STEP)
    while week.as_of < end:
        yield week
        week = week.after


def _first_on(use_case: UseCase, day: date) -> date:
    """Return the first day from a day on at which weeks begin: those of the partitions, else Mondays."""
    schedule = use_case.schedule
    weekday = schedule.start.weekday() if schedule.period == "week" else 0
    return day + timedelta(days=(weekday - day.weekday()) % DAYS)
