"""Which columns name a row, and whose rows repeat over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from mlforge.scaffold.columns import Column
from mlforge.scaffold.names import nearest_identifier

if TYPE_CHECKING:
    import pyarrow as pa

_NAMING_WORDS = {"id", "key", "uuid", "guid", "code", "no", "nr", "number", "num", "ref", "sku"}
_ENTITY_WORDS = {
    "customer", "user", "client", "account", "product", "store", "shop", "item", "device", "machine", "sensor",
    "member", "patient", "driver", "vehicle", "carrier", "station", "site", "host", "merchant", "household",
    "origin", "dest",
}  # fmt: skip
_MOST_CANDIDATES = 9
_LARGEST_KEY = 4
_MOST_ENTITIES = 3
_ROWS_PER_ENTITY = 4
_DAYS_PER_ENTITY = 2


def looks_like_a_name(column: Column) -> bool:
    """Return whether a column's name says that its values name something."""
    words = set(nearest_identifier(column.name).split("_"))
    return bool(words & _NAMING_WORDS) or nearest_identifier(column.name).endswith(("id", "num", "code"))


def _may_be_entity(column: Column) -> bool:
    return bool(set(nearest_identifier(column.name).split("_")) & _ENTITY_WORDS) or looks_like_a_name(column)


def find_key(columns: Mapping[str, Column], time: Column, target: Column) -> tuple[str, ...]:
    """Return the smallest set of columns that is different in every row, preferring those that look like names.

    Empty when there is no such set of four columns or fewer.
    """
    import pyarrow as pa

    usable = [c for c in columns.values() if c is not target and not c.nulls and _keyable(c)]
    ranked = sorted(usable, key=lambda c: (not looks_like_a_name(c), c is not time, c.kind == "integer", -c.distinct))
    ranked = ranked[:_MOST_CANDIDATES]
    table = pa.table({column.name: column.values for column in columns.values()})
    if time in ranked:
        ranked = [*[c for c in ranked if c is not time], time]
    for size in range(1, _LARGEST_KEY + 1):
        for chosen in combinations(ranked, size):
            lone_integer = size == 1 and chosen[0].kind == "integer" and not looks_like_a_name(chosen[0])
            enough = math.prod(column.distinct for column in chosen) >= len(table)
            if enough and not lone_integer and is_key(table, [column.name for column in chosen]):
                return _in_order((column.name for column in chosen), columns)
    return ()


def _keyable(column: Column) -> bool:
    if column.constant or column.kind in {"number", "boolean"}:
        return False
    return column.kind != "string" or column.highest <= 64


def is_key(table: pa.Table, names: list[str]) -> bool:
    """Return whether columns together are different in every row of a table."""
    return len(table.select(names).group_by(names).aggregate([])) == len(table)


def _in_order(names: Iterable[str], columns: Mapping[str, Column]) -> tuple[str, ...]:
    chosen = set(names)
    return tuple(name for name in columns if name in chosen)


def find_entities(
    columns: Mapping[str, Column], time: Column, target: Column, key: tuple[str, ...], rows: int
) -> list[tuple[str, ...]]:
    """Return the columns whose values come again over time and look like names: of customers, machines, places."""
    found = []
    for column in columns.values():
        if column in (time, target) or column.kind not in {"string", "integer"} or key == (column.name,):
            continue
        if column.kind == "integer" and column.nulls:
            continue  # with gaps it becomes a float, and no key of features is one
        often = 2 <= column.distinct <= rows / _ROWS_PER_ENTITY and column.nulls < rows / 2
        if often and (_may_be_entity(column) or _is_category(column, rows)) and _comes_again(column, time):
            found.append(column)
    ranked = sorted(found, key=lambda c: (c.name not in key, not _may_be_entity(c), -c.distinct))
    return [(column.name,) for column in ranked[:_MOST_ENTITIES]]


def _comes_again(column: Column, time: Column) -> bool:
    """Return whether a column's values are there on several days each: a basket's are on one."""
    import pyarrow as pa

    days = time.values.cast(pa.date32(), safe=False)
    pairs = pa.table({"value": column.values, "day": days}).group_by(["value", "day"]).aggregate([])
    return len(pairs) >= _DAYS_PER_ENTITY * column.distinct


def _is_category(column: Column, rows: int) -> bool:
    return column.kind == "string" and column.highest <= 64 and column.distinct <= max(2, rows / 20)
