"""The SQL of a scaffold: times, spine and features; every name quoted where it must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlforge.scaffold.columns import Column
from mlforge.scaffold.draft import Draft, View
from mlforge.scaffold.names import sql_name
from mlforge.scaffold.templates import fill
from mlforge.scaffold.texts import bound_sql, prose, sql_literal

WEEKDAY = "moment_weekday"
HOUR = "moment_hour"


def event_sql(draft: Draft) -> str:
    """Return when a row's event happened, over the contract's columns."""
    name = sql_name(draft.time.name)
    if draft.time.kind == "date":
        return f"{name}::timestamp AT TIME ZONE {sql_literal(draft.timezone)}"
    return name


def known_sql(draft: Draft) -> str:
    """Return from when on the whole row is known: so many days later, or when its partition has ended."""
    event, name = event_sql(draft), sql_name(draft.time.name)
    if draft.known_after is not None:
        return f"({event}) + interval '{draft.known_after} days'"
    moment = f"{name}::timestamp AT TIME ZONE 'UTC'" if draft.time.kind == "date" else name
    if draft.partitions.period == "day":
        ended = f"date_trunc('day', {moment}, 'UTC') + interval '1 day'"
    else:
        origin = f"timestamptz '{draft.partitions.start}T00:00:00Z'"
        ended = f"date_bin('7 days', {moment}, {origin}) + interval '7 days'"
    zoned = draft.time.kind == "date" and draft.timezone != "UTC"
    return f"greatest({ended}, {event})" if zoned else ended


def spine_sql(draft: Draft) -> str:
    """Return the examples: what a caller is asked, the moment, `known_at`, and the outcome."""
    target = draft.target.column
    columns = [_selected(column) for column in draft.asked if column is not draft.time]
    columns += [f"event_timestamp AS {sql_name(draft.time.alias)}", "event_timestamp", "known_at", _selected(target)]
    return fill(
        "spine.sql",
        target=_comment(target),
        time=_comment(draft.time),
        columns=_lines(map(bound_sql, columns)),
        table=f"{draft.name}__{draft.dataset}",
        outcome=bound_sql(sql_name(target.name)),
    )


def view_sql(draft: Draft, view: View) -> str:
    """Return the trailing counts and means of a view, as known when the partition ended."""
    short, long = draft.windows
    keys = [sql_name(column.alias) for column in view.entity] or [WEEKDAY]
    columns = [_selected(column) for column in dict.fromkeys([*view.entity, *draft.history])]
    columns += [] if view.entity else [f"{weekday_sql(draft)} AS {WEEKDAY}"]
    gaps = "".join(f"\n      AND {bound_sql(sql_name(column.name))} IS NOT NULL" for column in view.entity)
    return fill(
        "view.sql",
        what=" and ".join(map(_comment, view.entity)) or "weekday",
        short=short,
        long=long,
        keys=_lines(keys),
        statistics=_lines(map(bound_sql, _statistics(draft))),
        columns=_lines(map(bound_sql, columns), indent=11),
        table=f"{draft.name}__{draft.dataset}",
        gaps=gaps,
        group=", ".join(keys),
    )


def _comment(column: Column) -> str:
    return bound_sql(prose(column.name))


def weekday_sql(draft: Draft) -> str:
    """Return the weekday of a row's event in the use case's zone, Monday is 0, as Python counts."""
    return f"extract(isodow FROM event_timestamp AT TIME ZONE {sql_literal(draft.timezone)})::bigint - 1"


def feature_names(draft: Draft) -> list[str]:
    """Return the names of the features of every view, in order."""
    short, long = draft.windows
    names = [f"rows_{short}d", f"rows_{long}d"]
    for column in draft.history:
        names += [f"{_statistic(draft, column)}_{days}d" for days in (short, long)]
    return names


def _statistic(draft: Draft, column: Column) -> str:
    share = column.kind == "boolean" or (column is draft.target.column and draft.target.task == "classification")
    return f"{column.alias}_share" if share else f"mean_{column.alias}"


def _statistics(draft: Draft) -> Iterator[str]:
    short, long = draft.windows
    yield f"(count(*) FILTER (WHERE recent))::double precision AS rows_{short}d"
    yield f"count(*)::double precision AS rows_{long}d"
    for column in draft.history:
        value, name = _value(draft, column), _statistic(draft, column)
        yield f"(avg({value}) FILTER (WHERE recent))::double precision AS {name}_{short}d"
        yield f"avg({value})::double precision AS {name}_{long}d"


def _value(draft: Draft, column: Column) -> str:
    name, target = sql_name(column.alias), draft.target
    if column is target.column and target.task == "classification" and target.positive is not True:
        return f"({name} = {sql_literal(target.positive)})::int"
    return f"{name}::int" if column.kind == "boolean" else name


def _selected(column: Column) -> str:
    source, alias = sql_name(column.name), sql_name(column.alias)
    value = f"{source}::timestamp AT TIME ZONE 'UTC'" if column.kind == "date" else source
    return value if value == alias else f"{value} AS {alias}"


def _lines(parts: Iterable[str], *, indent: int = 7) -> str:
    return (",\n" + " " * indent).join(parts)
