"""From a sample and what a person said to a draft."""

from __future__ import annotations

import datetime as dt
import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mlforge.errors import SpecError
from mlforge.scaffold import keys, targets, times
from mlforge.scaffold.columns import Column, describe_columns
from mlforge.scaffold.draft import Draft, View, Wishes
from mlforge.scaffold.names import MAX_LENGTH, nearest_identifier, require_identifier, unique_name
from mlforge.scaffold.reading import Sample
from mlforge.scaffold.targets import SUSPICIOUS, Target
from mlforge.scaffold.times import Partitions, Windows

_MOST_CATEGORIES = 200
_LONGEST_TEXT = 256
_MOST_HISTORY = 5
_LATER_ROWS = 0.01


def make_draft(name: str, sample: Sample, wishes: Wishes, *, today: dt.date) -> Draft:
    """Return a use case inferred from a sample.

    Args:
        name: Its name.
        sample: Rows of its source.
        wishes: What a person said.
        today: UTC day on which a schedule that goes on is told from one that has ended.

    Raises:
        SpecError: A name or a wish cannot be used.
        SourceError: The data cannot give a training set.
    """
    check_names(name, wishes)
    dataset = wishes.dataset or _dataset_name(sample)
    where = sample.origin.label
    sample = sample.once()
    columns = describe_columns(sample, timezone=wishes.timezone)
    said = [name for entity in wishes.entities for name in _parts(entity, columns)]
    for wish in (wishes.target, wishes.time, *wishes.key, *wishes.after, *said):
        _require_known(wish, columns, where)
    time, other_times = times.find_time(columns, where, chosen=wishes.time)
    if wishes.target is None:
        raise no_target(columns, time, where)
    target = targets.choose_target(columns[wishes.target], where, task=wishes.task, positive=wishes.positive)
    if target.column is time:
        raise SpecError(f"{time.name!r} cannot be both the time and the target", where=where, hint="choose two columns")
    partitions = times.find_partitions(time, where, chosen=wishes.period)
    rows = len(sample.table)
    usable = {name: column for name, column in columns.items() if name not in wishes.after}
    key = tuple(columns[each] for each in wishes.key or keys.find_key(usable, time, target.column))
    if wishes.key:
        _require_key(key, where)
    told = {c.name: targets.told_share(c, target) for c in columns.values() if c is not target.column}
    later = _later(columns, time, told, wishes.after, [target.column, *key])
    entities = _entities(wishes, columns, time, target, key, rows, later)
    left_out = dict(sample.left_out) | _left_out(columns, target, key, entities, later, rows)
    asked = tuple(
        c for c in columns.values() if c is time or not (c is target.column or c.name in later or c.name in left_out)
    )
    return Draft(
        name=name,
        dataset=dataset,
        owner=wishes.owner or "unknown",
        timezone=wishes.timezone,
        sample=sample,
        columns=columns,
        time=time,
        partitions=partitions,
        key=key,
        target=target,
        views=_views(name, entities, wishes.taken_views),
        asked=asked,
        features=frozenset(c.name for c in asked if _is_feature(c, time, key, rows)),
        later=later,
        left_out=left_out,
        history=_history(columns, target, told, [time, *key, *(column for entity in entities for column in entity)]),
        told=told,
        training=_windows(partitions, time, target, wishes.known_after),
        known_after=wishes.known_after,
        open_ended=not sample.whole or (today - partitions.end_of_last).days <= 2 * partitions.step_days,
        other_times=tuple(other_times),
        wishes=wishes,
    )


def check_names(name: str, wishes: Wishes) -> None:
    """Check what can be checked before anything is read.

    Raises:
        SpecError: The use case or the dataset cannot be named so, or there is no such time zone.
    """
    from zoneinfo import available_timezones

    require_identifier(name, "use case")
    if wishes.dataset is not None:
        require_identifier(wishes.dataset, "dataset")
    if wishes.timezone not in available_timezones():
        near = difflib.get_close_matches(wishes.timezone, available_timezones(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "write it as Europe/Vienna"
        raise SpecError(f"there is no time zone {wishes.timezone!r}", hint=hint)


def target_candidates(sample: Sample, wishes: Wishes) -> list[Column]:
    """Return the columns of a sample that may be predicted, the likeliest first."""
    columns = describe_columns(sample.once(), timezone=wishes.timezone)
    return targets.candidates(columns, columns.get(wishes.time or ""))


def no_target(columns: Mapping[str, Column], time: Column | None, where: str) -> SpecError:
    """Return the error that no target is named; it lists the columns that can be one."""
    found = targets.candidates(columns, time)
    return SpecError(
        "which column shall be predicted?",
        where=where,
        evidence=[f"{c.name}: {c.kind}, {c.distinct:,} values" for c in found],
        hint=f"name it: --target {found[0].name!r}" if found else "there is none with two values or numbers",
    )


def _parts(entity: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    return (entity,) if entity in columns else tuple(entity.split("+"))


def _require_known(name: str | None, columns: Mapping[str, Column], where: str) -> None:
    if name is None or name in columns:
        return
    near = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(columns)}"
    raise SpecError(f"the source has no column {name!r}", where=where, hint=hint)


def _dataset_name(sample: Sample) -> str:
    stem = sample.origin.label.rstrip("/").rsplit("/", 1)[-1]
    stem = stem.rsplit(".", 1)[-1] if sample.origin.source["kind"] == "sql" else stem.split(".", 1)[0]
    return nearest_identifier(stem, fallback="rows")


def _require_key(key: Sequence[Column], where: str) -> None:
    import pyarrow as pa

    gaps = [column.name for column in key if column.nulls]
    names = [column.name for column in key]
    if gaps or not keys.is_key(pa.table({column.name: column.values for column in key}), names):
        what = f"has gaps in {gaps[0]!r}" if gaps else "is the same in rows that differ otherwise"
        raise SpecError(
            f"the key {', '.join(names)} {what}", where=where, hint="name more columns by --key, or leave it out"
        )


def _later(
    columns: Mapping[str, Column],
    time: Column,
    told: Mapping[str, float],
    said: Iterable[str],
    known: Sequence[Column],
) -> dict[str, str]:
    """Return the columns that nobody knows yet at the row's moment, with the reason."""
    later = dict.fromkeys(said, "you said so")
    for column in columns.values():
        if column in (time, *known) or column.name in later or column.constant:
            continue
        share = targets.later_share(column, time) if column.temporal else 0.0
        if share > _LATER_ROWS:
            later[column.name] = f"{share:.0%} of its times are later than {time.name}"
        elif told[column.name] >= SUSPICIOUS:
            later[column.name] = f"suspicious: it alone tells {told[column.name]:.0%} of the target"
    return later


def _entities(
    wishes: Wishes,
    columns: Mapping[str, Column],
    time: Column,
    target: Target,
    key: Sequence[Column],
    rows: int,
    later: Mapping[str, str],
) -> list[tuple[Column, ...]]:
    if wishes.entities:
        chosen = [_parts(entity, columns) for entity in wishes.entities]
        for name in {name for names in chosen for name in names}:
            column = columns[name]
            if column.kind not in {"string", "integer"} or name in later or column in (time, target.column):
                raise SpecError(
                    f"{name!r} cannot be an entity: it is {column.kind}, or not known at the row's moment",
                    where="--entity",
                    hint="name a column with text or whole numbers that a caller knows",
                )
            if column.kind == "integer" and column.nulls:
                raise SpecError(
                    f"{name!r} cannot be an entity: {column.nulls} of its whole numbers are missing",
                    where="--entity",
                    hint="fill them in, or write the column as text such as C17",
                )
    else:
        names = tuple(column.name for column in key)
        usable = {name: column for name, column in columns.items() if name not in later}
        chosen = keys.find_entities(usable, time, target.column, names, rows)
    return [tuple(columns[name] for name in names) for names in chosen]


def _views(name: str, entities: Sequence[tuple[Column, ...]], taken: Sequence[str]) -> tuple[View, ...]:
    """All use cases share one feature registry, so the names of views begin with the use case's."""
    used = [*taken]
    views = []
    for entity in entities or [()]:
        ending = "_by_" + ("_".join(column.alias for column in entity) or "weekday")
        ending = ending[: MAX_LENGTH - 4].rstrip("_")  # so that some of the use case's name stays
        view = unique_name(name[: MAX_LENGTH - len(ending)].rstrip("_") + ending, used)
        used.append(view)
        views.append(View(view, entity))
    return tuple(views)


def _left_out(
    columns: Mapping[str, Column],
    target: Target,
    key: Sequence[Column],
    entities: Sequence[tuple[Column, ...]],
    later: Mapping[str, str],
    rows: int,
) -> dict[str, str]:
    needed = {column.name for group in (key, *entities) for column in group} | {target.column.name, *later}
    left_out = {}
    for column in columns.values():
        reason = _useless(column, rows)
        if reason and column.name not in needed:
            left_out[column.name] = reason
    return left_out


def _useless(column: Column, rows: int) -> str | None:
    if column.constant:
        return "it is the same in every row"
    if column.kind != "string":
        return None
    if column.highest > _LONGEST_TEXT or any(
        not value.isprintable() for value in column.values.unique().to_pylist() if value is not None
    ):
        return "it is free text"
    if column.distinct > max(_MOST_CATEGORIES, rows / 20):
        return f"it has {column.distinct:,} different texts: too many to be categories"
    return None


def _is_feature(column: Column, time: Column, key: Sequence[Column], rows: int) -> bool:
    """Return whether the model sees a field itself: no name of a single row or thing, no time."""
    if column is time or column.temporal:
        return False
    if column.kind == "string":
        return column.distinct <= _MOST_CATEGORIES
    naming = keys.looks_like_a_name(column) or [column] == list(key)
    return not (column.kind == "integer" and naming and column.distinct > 2)


def _history(
    columns: Mapping[str, Column], target: Target, told: Mapping[str, float], others: Sequence[Column]
) -> tuple[Column, ...]:
    usable = [
        column
        for column in columns.values()
        if column.numeric
        and not column.constant
        and not keys.looks_like_a_name(column)
        and column not in (target.column, *others)
    ]
    best = sorted(usable, key=lambda column: -told[column.name])[: _MOST_HISTORY - 1]
    return (target.column, *(column for column in usable if column in best))


def _windows(partitions: Partitions, time: Column, target: Target, known_after: int | None) -> Windows:
    import numpy as np
    import pyarrow as pa

    outcomes = target.outcomes
    known = np.isfinite(outcomes)
    middle = float(np.median(outcomes[known])) if target.task == "regression" else 0.5
    days = time.values.cast(pa.date32(), safe=False).to_pylist()
    labels = Counter(
        (day, bool(high)) for day, high, there in zip(days, outcomes > middle, known, strict=True) if there
    )
    return times.fit_windows(partitions, labels, known_after or 0)
