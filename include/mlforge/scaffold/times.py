"""Which column says when a row's event happened, how long a partition is, and which partitions there are."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from mlforge.errors import SourceError, SpecError
from mlforge.scaffold.columns import Column
from mlforge.scaffold.names import nearest_identifier

Period = Literal["day", "week"]
# UTC day, and whether the outcome is on the upper side → how many rows.
Labels = Mapping[tuple[dt.date, bool], int]
STEP_DAYS: Mapping[Period, int] = {"day": 1, "week": 7}
_BEST_WORDS = {"event", "timestamp", "datetime", "created", "occurred", "happened", "snapshot", "ts"}
_GOOD_WORDS = {"time", "date", "day", "hour", "at", "on", "when", "week"}
_BAD_WORDS = {"birth", "dob", "born", "updated", "modified", "end", "ended", "expiry", "expires", "until", "due"}
_LONG_SPAN = dt.timedelta(days=365 * 20)
_FEW_ROWS = 12  # a day with fewer is a poor partition
_LEAST_PARTITIONS = 8


@dataclass(frozen=True)
class Partitions:
    """The partitions that a source has.

    Attributes:
        start: First day of the first one.
        end: First day of the last one.
        rows: Fewest and most rows of one.
        why: Why they are this long.
        gap: What lies outside because there is a gap, in words; empty when nothing does.
    """

    period: Period
    start: dt.date
    end: dt.date
    rows: tuple[int, int]
    why: str
    gap: str = ""

    @property
    def step_days(self) -> int:
        """Days of one partition."""
        return STEP_DAYS[self.period]

    @property
    def days(self) -> int:
        """Days from the first to the last, that one included."""
        return (self.end - self.start).days + self.step_days

    @property
    def end_of_last(self) -> dt.date:
        """First day after the last partition."""
        return self.start + dt.timedelta(days=self.days)


def find_time(columns: Mapping[str, Column], where: str, *, chosen: str | None = None) -> tuple[Column, list[str]]:
    """Return the column that says when a row's event happened, and the other candidates, likeliest first.

    Raises:
        SourceError: No column can; the error names what comes near.
        SpecError: The chosen one cannot.
    """
    if chosen is not None:
        return _require_time(columns[chosen], where), []
    candidates = [column for column in columns.values() if column.temporal and not column.nulls]
    if candidates:
        ranked = sorted(candidates, key=_likeliness)
        return ranked[0], [column.name for column in ranked[1:]]
    near = [column for column in columns.values() if _words(column.name) & (_BEST_WORDS | _GOOD_WORDS)]
    near += [column for column in columns.values() if column.temporal and column not in near]
    if near:
        raise SourceError(
            "no column is a time in every row, so it is not known when a row's event happened",
            where=where,
            evidence=[f"{column.name!r} has {column.nulls} gaps, such as {column.usual!r}" for column in near],
            hint="fill one of them in, written as 2013-04-01 or 2013-04-01T12:00:00Z, and name it by --time",
        )
    raise SourceError(
        "it has no time: a model learns here from what was known before each row's moment",
        where=where,
        evidence=[f"{column.name}: {column.kind}" for column in columns.values()],
        hint="add a column that says when each row's event happened, written as 2013-04-01 or 2013-04-01T12:00:00Z",
    )


def _require_time(column: Column, where: str) -> Column:
    if not column.temporal:
        raise SpecError(
            f"{column.name!r} is no time but a {column.kind}, such as {column.usual!r}",
            where=where,
            hint="write its values as 2013-04-01 or 2013-04-01T12:00:00Z, or choose another --time",
        )
    if column.nulls:
        raise SpecError(
            f"{column.nulls} rows have no {column.name!r}, so no partition",
            where=where,
            hint="fill it in, leave these rows out, or choose another --time",
        )
    return column


def _words(name: str) -> set[str]:
    return set(nearest_identifier(name).split("_"))


def _likeliness(column: Column) -> tuple[int, int]:
    words = _words(column.name)
    score = 2 * bool(words & _BEST_WORDS) + bool(words & _GOOD_WORDS) - 3 * bool(words & _BAD_WORDS)
    if column.highest - column.lowest > _LONG_SPAN:
        score -= 3
    return -score, int(column.kind == "date")


def find_partitions(time: Column, where: str, *, chosen: Period | None = None) -> Partitions:
    """Return daily partitions where every day has rows enough, else weekly ones; the longest stretch without a gap.

    Raises:
        SourceError: There are too few partitions without a gap between them.
    """
    counts = _rows_per_day(time)
    daily, weekly = _stretch(counts, "day"), _stretch(counts, "week")
    few = sorted(counts.values())[len(counts) // 2] < _FEW_ROWS
    period: Period = chosen or ("week" if _weeks_are_better(daily, weekly, few=few) else "day")
    stretch = weekly if period == "week" else daily
    if len(stretch) < _LEAST_PARTITIONS and (period == "day" or len(stretch) < 4):
        least = "4 weeks" if period == "week" else f"{_LEAST_PARTITIONS} days"
        raise SourceError(
            f"{len(stretch)} {period}s in a row have rows, by {time.name!r}; at least {least} are needed to train"
            " on some and test on later ones",
            where=where,
            evidence=[f"rows on {min(counts)} to {max(counts)}, {len(counts)} days of them"],
            hint="give a longer history, or choose another --time or --period",
        )
    return _partitions(time, counts, stretch, period, chosen=chosen is not None, few=few)


def _partitions(
    time: Column, counts: Mapping[dt.date, int], stretch: list[dt.date], period: Period, *, chosen: bool, few: bool
) -> Partitions:
    step = dt.timedelta(days=STEP_DAYS[period])
    sizes = [sum(counts.get(day + dt.timedelta(days=n), 0) for n in range(step.days)) for day in stretch]
    outside = sum(counts.values()) - sum(sizes)
    why = "as you said" if chosen else "every day has rows"
    if period == "week" and not chosen:
        why = f"most days have fewer than {_FEW_ROWS} rows" if few else "not every day has rows"
    gap = ""
    if outside:
        gap = (
            f"{outside:,} rows lie outside {stretch[0]}..{stretch[-1]}, the longest stretch without a {period} that"
            f" has no row (by {time.name!r}); they are not loaded"
        )
    return Partitions(period, stretch[0], stretch[-1], (min(sizes), max(sizes)), why, gap)


def _weeks_are_better(daily: list[dt.date], weekly: list[dt.date], *, few: bool) -> bool:
    enough = len(weekly) >= _LEAST_PARTITIONS
    return enough and (few or len(daily) < 7 * len(weekly) - 7)


def _rows_per_day(time: Column) -> dict[dt.date, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pc.value_counts(time.values.cast(pa.date32(), safe=False))
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _stretch(counts: Mapping[dt.date, int], period: Period) -> list[dt.date]:
    """Return the first days of the longest run of partitions that all have rows; whole weeks only."""
    step = STEP_DAYS[period]
    first = min(counts)
    filled = Counter((day - first).days // step for day in counts)
    if step > 1 and (max(counts) - first).days % step < step - 1:
        del filled[(max(counts) - first).days // step]  # its end is still to come
    runs: list[list[int]] = [[]]
    numbers = sorted(filled)
    for before, number in pairwise([numbers[0] - 1, *numbers] if numbers else []):
        if number != before + 1:
            runs.append([])
        runs[-1].append(number)
    longest = max(runs, key=len)
    return [first + dt.timedelta(days=number * step) for number in longest]


@dataclass(frozen=True)
class Windows:
    """How long training looks back, and which of it is validation and test; days.

    Attributes:
        minimum_rows: Fewer labelled rows than these are no training set.
    """

    window_days: int
    validation_days: int
    test_days: int
    minimum_rows: int


def fit_windows(partitions: Partitions, labels: Labels, known_after: int) -> Windows:
    """Return windows that fit the length of the history, with both sides of the target in each part.

    Args:
        partitions: What there is.
        labels: How many labelled rows there are.
        known_after: Days until an outcome is known.
    """
    step = partitions.step_days
    longest = 364 if step == 7 else 90
    days = min(longest, partitions.days)
    usable = max(3, days - known_after)
    test = _whole(min(28 if step == 7 else 7, usable // 6), step)
    validation = _whole(min(28 if step == 7 else 10, usable // 6), step)
    end = partitions.end_of_last - dt.timedelta(days=known_after)
    start = partitions.end_of_last - dt.timedelta(days=days)
    while test + validation < usable // 2:
        test_start = end - dt.timedelta(days=test)
        validation_start = test_start - dt.timedelta(days=validation)
        if not _both(labels, test_start, end):
            test += step
        elif not _both(labels, validation_start, test_start):
            validation += step
        else:
            break
    within = sum(rows for (day, _), rows in labels.items() if start <= day < partitions.end_of_last)
    return Windows(days, validation, test, max(10, _round_down(within // 2)))


def _whole(days: int, step: int) -> int:
    return max(step, days // step * step)


def _both(labels: Labels, first: dt.date, after: dt.date) -> bool:
    return len({high for day, high in labels if first <= day < after}) == 2


def _round_down(number: int) -> int:
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return number // unit * unit
