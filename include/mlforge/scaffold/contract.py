"""The first contract of a dataset: rules that hold on the data it comes from, with room for the next days."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from mlforge.scaffold.columns import Column
from mlforge.scaffold.draft import Draft
from mlforge.scaffold.texts import prose, yaml_value

_MOST_ALLOWED = 20
_ROWS_PER_ALLOWED = 20
_WIDEST_INTEGER = 2**62
_PATTERNS = ("[A-Z]", "[a-z]", "[0-9]", "[A-Z0-9]", "[a-z0-9_]", "[A-Za-z]")
_PHYSICAL = {
    "string": "text", "integer": "bigint", "number": "double precision", "boolean": "boolean", "date": "date",
    "timestamp": "timestamptz",
}  # fmt: skip


def contract_text(draft: Draft) -> str:
    """Return the contract as YAML, with comments that say what a person should tighten."""
    rows = len(draft.sample.table)
    lines = [
        "# Open Data Contract Standard. A first contract, inferred from the data:",
        f"# {prose(draft.sample.origin.label)}, {'all' if draft.sample.whole else 'the first'} {rows:,} rows.",
        "# Every rule holds on them. What only you know is not in it yet: tighten the ranges, say which columns must",
        "# agree with each other (`type: sql`), and describe each column.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {draft.name.replace('_', '-')}-{draft.dataset.replace('_', '-')}",
        f"name: {yaml_value(draft.dataset)}",
        "version: 1.0.0",
        "status: draft",
        "description:",
        f"  purpose: {yaml_value(f'What {draft.target.column.name} is predicted from.')}",
        "schema:",
        f"  - name: {draft.dataset}",
        "    physicalType: table",
        "    dataGranularityDescription: "
        + yaml_value(f"A partition is a {draft.partitions.period} of {draft.time.name}, UTC."),
        "    properties:",
    ]
    positions = {column.name: place for place, column in enumerate(draft.key, start=1)}
    for column in draft.columns.values():
        lines += _property(draft, column, positions.get(column.name))
    lines += ["    quality:", *_row_counts(draft)]
    return "\n".join(lines) + "\n"


def _property(draft: Draft, column: Column, position: int | None) -> Iterator[str]:
    yield f"      - name: {yaml_value(column.name)}"
    yield f"        logicalType: {column.kind}"
    yield f"        physicalType: {_PHYSICAL[column.kind]}"
    yield f"        description: {yaml_value(_description(draft, column))}"
    if not column.nulls:
        yield "        required: true"
    if position is not None:
        yield "        primaryKey: true"
        yield f"        primaryKeyPosition: {position}"
    if column is draft.time:
        yield "        partitioned: true"
        yield "        partitionKeyPosition: 1"
    if column.kind == "timestamp":
        yield "        logicalTypeOptions: {timezone: true}"
    yield from _value_rules(draft, column)
    yield from _gap_rule(draft, column)


def _description(draft: Draft, column: Column) -> str:
    if column is draft.target.column:
        return "What is predicted"
    if column is draft.time:
        return "When the row's event happened"
    if not column.distinct:
        return "Always missing so far"
    return f"{column.distinct:,} different values, {column.nulls:,} gaps in {len(column.values):,} rows"


def _value_rules(draft: Draft, column: Column) -> Iterator[str]:
    allowed = _allowed(draft, column)
    if allowed:
        yield f"        enum:  # all {len(allowed)} values that there were"
        yield from (f"          - {{value: {yaml_value(value)}}}" for value in allowed)
        return
    options = text_options(column) if column.kind == "string" else range_options(column)
    if options:
        inner = ", ".join(f"{name}: {yaml_value(value)}" for name, value in options.items())
        seen = "" if column.kind == "string" else f"  # {column.lowest} to {column.highest} so far"
        yield f"        logicalTypeOptions: {{{inner}}}{seen}"


def _allowed(draft: Draft, column: Column) -> list[Any]:
    """Return the values of a text column that has few of them, often enough to be all."""
    if column.kind != "string" or not 1 < column.distinct <= _MOST_ALLOWED or not draft.sample.whole:
        return []
    if len(column.values) < _ROWS_PER_ALLOWED * column.distinct:
        return []
    return sorted(value for value in column.values.unique().to_pylist() if value is not None)


def text_options(column: Column) -> dict[str, Any]:
    """Return bounds on the length of a text, and a pattern where all texts are of one kind of letters."""
    if column.highest is None:
        return {}
    values = [value for value in column.values.unique().to_pylist() if value is not None]
    for letters in _PATTERNS:
        pattern = re.compile(f"{letters}+")
        if column.lowest > 0 and all(pattern.fullmatch(value) for value in values):
            same = column.lowest == column.highest
            size = f"{{{column.lowest}}}" if same else f"{{1,{_longer(column.highest)}}}"
            return {"pattern": f"^{letters}{size}$"}
    return {"minLength": min(1, column.lowest), "maxLength": _longer(column.highest)}


def _longer(length: int) -> int:
    return max(8, math.ceil(length * 1.5))


def range_options(column: Column) -> dict[str, Any]:
    """Return bounds on a number: half its span on either side, round, and not below zero where it never was."""
    if column.kind not in {"integer", "number"} or column.lowest is None or column.constant:
        return {}
    low, high = column.lowest, column.highest
    if low >= 0 and high <= 1:
        return {"minimum": 0, "maximum": 1}
    room = (high - low) / 2
    minimum = 0 if 0 <= low <= room else _round(low - room, math.floor)
    maximum = _round(high + room, math.ceil)
    if low >= 0 > minimum:
        minimum = 0
    options = {"minimum": min(minimum, low), "maximum": max(maximum, high)}
    if column.kind == "integer":
        return {name: int(value) for name, value in options.items() if abs(value) < _WIDEST_INTEGER}
    return {name: value for name, value in options.items() if math.isfinite(value)}


def _round(value: float, towards: Any) -> float:
    """Return a number with two digits that counts, away from the data."""
    if value == 0 or not math.isfinite(value):
        return value
    unit: float = 10 ** (math.floor(math.log10(abs(value))) - 1)
    if unit == 0:
        return value  # the smallest numbers that there are
    rounded: float = towards(value / unit) * unit
    return int(rounded) if unit >= 1 else float(f"{rounded:.3g}")


def _gap_rule(draft: Draft, column: Column) -> Iterator[str]:
    """Yield a bound on the share of gaps in a partition, where gaps are the exception in every one."""
    if not column.nulls or not draft.sample.whole:
        return
    most = min(100, math.ceil(1.5 * _worst_gaps(draft, column) + 5))
    if most < 100:
        name = f"{column.alias}_is_there"
        yield "        quality:"
        yield f"          - {{name: {name}, metric: nullValues, unit: percent, mustBeLessOrEqualTo: {most}}}"


def _worst_gaps(draft: Draft, column: Column) -> float:
    """Return the largest share of gaps that a partition has, in per cent."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    days = draft.time.values.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy()
    offset = (draft.partitions.start.toordinal() - _EPOCH - int(days.min())) % draft.partitions.step_days
    numbers = (days - days.min() - offset) // draft.partitions.step_days
    numbers = numbers - numbers.min()
    gaps = pc.is_null(column.values).cast(pa.int8()).to_numpy()
    rows = np.bincount(numbers)
    missing = np.bincount(numbers, weights=gaps)
    return float(100 * (missing[rows > 0] / rows[rows > 0]).max())


_EPOCH = 719_163  # ordinal of 1970-01-01


def _row_counts(draft: Draft) -> Iterator[str]:
    fewest, most = draft.partitions.rows
    high = _round(2 * most, math.ceil) if draft.sample.whole else 1_000_000_000
    yield f"      - name: rows_per_{draft.partitions.period}"
    yield f"        description: {fewest:,} to {most:,} rows came so far."
    yield "        metric: rowCount"
    yield f"        mustBeBetween: [{_fewest(draft)}, {int(high)}]"
    yield "        dimension: completeness"


def _fewest(draft: Draft) -> int:
    """Exact copies are counted once, so the fewest rows may be fewer than came."""
    fewest = draft.partitions.rows[0]
    return max(1, fewest // 3) if draft.sample.whole else 1
