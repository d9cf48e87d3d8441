"""Statistics of columns by group: exact, and the same in whatever order the rows come.

A value becomes its place among the sorted distinct values of its column, and a row one number: its group and place.
One sort of these numbers gives how often each group has each value, from which all the rest follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlforge.ingest.cells import json_value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlforge.spec.contract import Column

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 10
PUBLICATION = "publication_id"
_MANY = 20_000  # rows from which on a second thread pays
_NUMBERS = {"bigint", "integer", "smallint", "double precision"}


def profile_columns(rows: pa.Table, columns: Sequence[Column]) -> dict[int, dict[str, dict[str, Any]]]:
    """Return group → column → statistics.

    Args:
        rows: With the columns, and the number of each row's group as the column `publication_id`.
        columns: Which columns.
    """
    groups = rows[PUBLICATION].combine_chunks().dictionary_encode()
    numbers = groups.dictionary.to_pylist()
    found: dict[int, dict[str, dict[str, Any]]] = {number: {} for number in numbers}
    column_of = partial(_column, rows, groups.indices.to_numpy().astype("int64"), len(numbers))
    # NumPy and Arrow leave the interpreter to others while they sort.
    with ThreadPoolExecutor(max_workers=2 if len(rows) >= _MANY else 1) as threads:
        for column, statistics in zip(columns, threads.map(column_of, columns), strict=True):
            for number, each in zip(numbers, statistics, strict=True):
                found[number][column.name] = each
    return found


@dataclass(frozen=True)
class _Runs:
    """How often each group has each of its values, by group, then by value.

    Attributes:
        values: The column's distinct values, sorted.
        place: Of each run, the place of its value among them.
        count: Of each run, its rows.
        group: Of each run, its group.
        present: Groups that have a value at all.
        first: Of each of those, its first run.
    """

    values: pa.Array
    place: np.ndarray[Any, Any]
    count: np.ndarray[Any, Any]
    group: np.ndarray[Any, Any]
    present: np.ndarray[Any, Any]
    first: np.ndarray[Any, Any]


def _column(rows: pa.Table, groups: np.ndarray[Any, Any], number: int, column: Column) -> list[dict[str, Any]]:
    """Return the statistics of a column in each group."""
    import numpy as np

    values = rows[column.name].combine_chunks()
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    nulls = np.bincount(groups[~valid], minlength=number).tolist()
    counts = np.bincount(groups[valid], minlength=number).tolist()
    found = [{"distinct": 0, "count": count, "nulls": null} for count, null in zip(counts, nulls, strict=True)]
    numeric = column.sql_type in _NUMBERS
    if numeric and not column.personal:
        nothing = dict.fromkeys(("min", "max", "mean", "std"))
        for each in found:
            each |= {**nothing, "quantiles": [None] * len(QUANTILES)}
    if not valid.any():
        return found
    runs = _runs(values.filter(valid) if not valid.all() else values, groups[valid])
    for group, distinct in zip(runs.present.tolist(), np.diff([*runs.first, len(runs.place)]).tolist(), strict=True):
        found[group]["distinct"] = distinct
    if not column.personal:
        if numeric:
            _add_numbers(found, runs)
        else:
            _add_bounds(found, runs)
        _add_top(found, runs)
    return found


def _runs(values: pa.Array, groups: np.ndarray[Any, Any]) -> _Runs:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = values.dictionary_encode()
    distinct = encoded.dictionary
    comparable = distinct.cast(pa.int8()) if pa.types.is_boolean(distinct.type) else distinct
    order = pc.sort_indices(comparable).to_numpy()
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    keys = groups * len(order) + place_of[encoded.indices.to_numpy()]
    keys.sort()
    starts = _starts(keys)
    group, place = np.divmod(keys[starts], len(order))
    first = _starts(group)
    return _Runs(
        values=distinct.take(pa.array(order)),
        place=place,
        count=np.diff(starts, append=len(keys)),
        group=group,
        present=group[first],
        first=first,
    )


def _starts(ordered: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where each run of equal numbers begins."""
    import numpy as np

    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _add_numbers(found: list[dict[str, Any]], runs: _Runs) -> None:
    import numpy as np

    values = runs.values.to_numpy(zero_copy_only=False).astype("float64")[runs.place]
    rows = np.add.reduceat(runs.count, runs.first)
    sizes = np.diff(runs.first, append=len(runs.place))
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduceat(values * runs.count, runs.first) / rows
        std = np.sqrt(np.add.reduceat(runs.count * (values - np.repeat(mean, sizes)) ** 2, runs.first) / rows)
    # What is no number sorts behind all numbers, as one value: the order has no place for it.
    strange = np.add.reduceat(np.where(np.isnan(values), runs.count, 0), runs.first)
    last = runs.first + sizes - 1 - (strange > 0)
    begins = np.concatenate([[0], np.cumsum(rows)[:-1]])
    quantiles = _quantiles(values, np.cumsum(runs.count), begins, rows - strange)
    low, high = (_values(runs, places) for places in (runs.first, np.maximum(last, runs.first)))
    for at, group in enumerate(runs.present.tolist()):
        found[group] |= {"min": _finite(low[at]), "max": _finite(high[at])}
        found[group] |= {"mean": _finite(float(mean[at])), "std": _finite(float(std[at]))}
        found[group]["quantiles"] = [_finite(each) for each in quantiles[at].tolist()]


def _quantiles(
    values: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], begins: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the quantiles of each group, linear between neighbours `(n_groups, n_quantiles)`.

    Args:
        values: Of each run, its value.
        ends: Rows up to the end of each run.
        begins: Rows before each group.
        rows: Rows of each group.
    """
    import numpy as np

    places = np.maximum(rows - 1, 0)[:, None] * np.array(QUANTILES)[None, :]
    below = np.floor(places).astype("int64")
    above = np.ceil(places).astype("int64")
    lower, upper = (values[np.searchsorted(ends, begins[:, None] + each, side="right")] for each in (below, above))
    with np.errstate(invalid="ignore"):
        between = np.where(lower == upper, lower, lower + (upper - lower) * (places - below))
    return np.where(rows[:, None] > 0, between, np.nan)


def _add_bounds(found: list[dict[str, Any]], runs: _Runs) -> None:
    """Add the first and the last value of each group in their order."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_boolean(runs.values.type):
        return
    low, high = _values(runs, runs.first), _values(runs, np.append(runs.first[1:], len(runs.place)) - 1)
    for group, lowest, highest in zip(runs.present.tolist(), low, high, strict=True):
        found[group] |= {"min": json_value(lowest), "max": json_value(highest)}


def _add_top(found: list[dict[str, Any]], runs: _Runs) -> None:
    """Add the most frequent values of each group, of equally frequent ones the smaller first."""
    import numpy as np

    most = int(runs.count.max()) + 1
    order = np.argsort(runs.group * most - runs.count, kind="stable")
    within = np.arange(len(order)) - np.repeat(runs.first, np.diff(runs.first, append=len(order)))
    chosen = order[within < TOP]
    columns = (runs.group[chosen].tolist(), _values(runs, chosen), runs.count[chosen].tolist())
    for group, value, count in zip(*columns, strict=True):
        found[group].setdefault("top", []).append([json_value(value), count])


def _values(runs: _Runs, places: np.ndarray[Any, Any]) -> list[Any]:
    """Return the values of some runs."""
    import pyarrow as pa

    values: list[Any] = runs.values.take(pa.array(runs.place[places])).to_pylist()
    return values


def _finite(value: Any) -> Any:
    """Return a statistic as JSON has it: what is no number is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
