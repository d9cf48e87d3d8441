"""Playing a history of 364 days again: every row on the same weekday, at the same hour of the local clock.

A row of the local day S of the history comes on each local day L = S + 364 k. Its instant is found anew on the local
clock of L, so that 17:00 stays 17:00 when L has summer time and S has not. An hour that L skips takes its rows with
it, and so do the rows of a repeated hour's second round where L has that hour once.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mlforge.ingest.source import DAY
from mlforge.refs import PartitionRange
from mlforge.spec.sources import CYCLE_DAYS

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.sources import Replay

_MOMENT = dt.timedelta(microseconds=1)
_ONE = dt.timedelta(days=1)


def replay_rows(
    read: Callable[[dt.date, dt.date], pa.Table], replay: Replay, column: str, days: PartitionRange
) -> pa.Table:
    """Return the rows of days that the history does not have, from those that it has.

    Args:
        read: Returns the history's rows from a UTC day to another, both included, in the contract's types and with
            the column `DAY`.
        replay: What moves, and on which clock.
        column: The partition column.
        days: Which UTC days.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = ZoneInfo(replay.timezone)
    tables = []
    for cycle, first, last in _stretches(replay, zone, days):
        rows = read(_midnight(first, zone).date(), (_midnight(last + _ONE, zone) - _MOMENT).date())
        tables.append(_move(_local_days(rows, column, zone.key, first, last), replay, column, cycle))
    moved = pa.concat_tables(tables)
    day = pc.cast(pc.floor_temporal(moved[column], unit="day"), pa.date32())
    moved = moved.set_column(moved.column_names.index(DAY), DAY, day)
    return moved.filter(pc.and_(pc.greater_equal(day, days.start.date()), pc.less(day, days.end.date())))


def _stretches(replay: Replay, zone: ZoneInfo, days: PartitionRange) -> Iterator[tuple[int, dt.date, dt.date]]:
    """Yield each cycle that UTC days need with the first and the last local day of the history."""
    first = days.start.astimezone(zone).date()
    last = (days.end - _MOMENT).astimezone(zone).date()
    places = range((first - replay.first).days, (last - replay.first).days + 1)
    for cycle, group in itertools.groupby(places, key=lambda place: place // CYCLE_DAYS):
        within = [place % CYCLE_DAYS for place in group]
        yield cycle, replay.first + within[0] * _ONE, replay.first + within[-1] * _ONE


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _local_days(rows: pa.Table, column: str, zone: str, first: dt.date, last: dt.date) -> pa.Table:
    """Return the rows from a local day to another, both included."""
    import pyarrow as pa
    import pyarrow.compute as pc

    local = pc.cast(pc.floor_temporal(_local(rows[column], zone), unit="day"), pa.date32())
    return rows.filter(pc.and_(pc.greater_equal(local, first), pc.less_equal(local, last)))


def _local(moments: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Return what the local clock shows at instants."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.local_timestamp(pc.cast(moments, pa.timestamp("us", tz=zone)))


def _move(rows: pa.Table, replay: Replay, column: str, cycle: int) -> pa.Table:
    import pyarrow.compute as pc

    for name in [*(name for name in replay.move if name != column), column]:
        moved, keep = _moved(rows[name], replay.timezone, cycle)
        rows = rows.set_column(rows.column_names.index(name), name, moved)
    clock = _local(rows[column], replay.timezone)
    for part, name in replay.parts.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pc.cast(getattr(pc, part)(clock), rows.schema.field(name).type))
    return rows.filter(keep)  # of the partition column, which came last


def _moved(moments: pa.ChunkedArray, zone: str, cycle: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return instants moved by whole cycles on the local clock, and whether the clock shows each of them there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    utc = pa.timestamp("us", tz="UTC")
    clock = _local(moments, zone)
    again = pc.cast(pc.assume_timezone(clock, zone, ambiguous="earliest"), utc)
    second_round = pc.not_equal(again, pc.cast(moments, utc))
    target = pc.add(clock, pa.scalar(dt.timedelta(days=CYCLE_DAYS * cycle), pa.duration("us")))
    early = pc.assume_timezone(target, zone, ambiguous="earliest", nonexistent="earliest")
    late = pc.assume_timezone(target, zone, ambiguous="latest", nonexistent="latest")
    exists = pc.equal(pc.local_timestamp(early), target)
    shown = pc.and_(exists, pc.or_(pc.invert(second_round), pc.not_equal(early, late)))
    moved = pc.if_else(pc.or_(second_round, pc.invert(exists)), late, early)
    return pc.cast(moved, moments.type), shown
