"""Rows and cells that differ between two tables, matched by a key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import MAX_EXAMPLES

if TYPE_CHECKING:
    import pyarrow as pa

Positions = NDArray[np.int64]


@dataclass
class CellChanges:
    """Changed cells of one column.

    Attributes:
        examples: At most five: key in words, value before, value after.
    """

    cells: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, other: CellChanges) -> None:
        """Add those of another partition."""
        self.cells += other.cells
        self.examples = [*self.examples, *other.examples][:MAX_EXAMPLES]


@dataclass
class RowChanges:
    """Rows that differ between two tables.

    Attributes:
        columns: Column → its changed cells; only columns that have any.
        added_examples: Keys in words, at most five.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    same: int = 0
    columns: dict[str, CellChanges] = field(default_factory=dict)
    added_examples: list[str] = field(default_factory=list)
    removed_examples: list[str] = field(default_factory=list)

    def add(self, other: RowChanges) -> None:
        """Add those of another partition."""
        self.added += other.added
        self.removed += other.removed
        self.changed += other.changed
        self.same += other.same
        for name, changes in other.columns.items():
            self.columns.setdefault(name, CellChanges()).add(changes)
        self.added_examples = [*self.added_examples, *other.added_examples][:MAX_EXAMPLES]
        self.removed_examples = [*self.removed_examples, *other.removed_examples][:MAX_EXAMPLES]


def compare_rows(old: pa.Table, new: pa.Table, key: list[str], compared: list[str]) -> RowChanges:
    """Return how the rows of two tables differ.

    Rows with the same key are matched in their order; so a key that comes twice on one side is one row more.

    Args:
        old: The table before.
        new: The table after.
        key: Columns that name a row, in both tables; without any, whole rows are compared.
        compared: Columns in both tables whose cells are compared.
    """
    names = key or compared
    left, right = _codes(old, new, names)
    _, in_old, in_new = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    found = RowChanges(added=len(right) - len(in_new), removed=len(left) - len(in_old))
    found.added_examples = _keys(new, names, _others(len(right), in_new)[:MAX_EXAMPLES])
    found.removed_examples = _keys(old, names, _others(len(left), in_old)[:MAX_EXAMPLES])
    touched = np.zeros(len(in_old), dtype=bool)
    for name in compared if key else []:
        if name in key:
            continue
        differs = _differing(old.column(name), new.column(name), in_old, in_new)
        if differs.any():
            touched |= differs
            found.columns[name] = _cell_changes(old, new, names, name, in_old[differs], in_new[differs])
    found.changed = int(touched.sum())
    found.same = len(in_old) - found.changed
    return found


def _codes(old: pa.Table, new: pa.Table, names: list[str]) -> tuple[Positions, Positions]:
    """Return one number per row and table; the same number means the same key and the same place among its equals."""
    import pyarrow as pa

    total = old.num_rows + new.num_rows
    codes = np.zeros(total, dtype=np.int64)
    for name in names:
        both = pa.chunked_array([*_common(old, new, name)[0].chunks, *_common(old, new, name)[1].chunks])
        values = both.combine_chunks().dictionary_encode(null_encoding="encode")
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        own = values.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        # Made dense after each column, the numbers stay below the square of the rows.
        _, codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)
    left, right = codes[: old.num_rows], codes[old.num_rows :]
    most = max(total, 1)
    return left * most + _places(left), right * most + _places(right)


def _places(codes: Positions) -> Positions:
    """Return each row's place among the rows with the same number, from 0."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(ordered)])
    places = np.empty(len(codes), dtype=np.int64)
    places[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
    return places


def _common(old: pa.Table, new: pa.Table, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return a column of both tables in one type: their own, or text where they differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left, right = old.column(name), new.column(name)
    if left.type == right.type:
        return left, right
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (left.type, right.type))
    kind = pa.float64() if numbers else pa.string()
    return pc.cast(left, kind, safe=False), pc.cast(right, kind, safe=False)


def _differing(
    left: pa.ChunkedArray, right: pa.ChunkedArray, in_left: Positions, in_right: Positions
) -> NDArray[np.bool_]:
    """Return for each matched row whether its cells differ; missing equals missing, NaN equals NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    before, after = _common(pa.table({"c": left}), pa.table({"c": right}), "c")
    before, after = before.take(pa.array(in_left)), after.take(pa.array(in_right))
    equal = pc.fill_null(pc.equal(before, after), False)
    equal = pc.or_(equal, pc.and_(pc.is_null(before), pc.is_null(after)))
    if pa.types.is_floating(before.type):
        not_numbers = pc.and_(pc.is_nan(before), pc.is_nan(after))
        equal = pc.or_(equal, pc.fill_null(not_numbers, False))
    differing: NDArray[np.bool_] = ~equal.to_numpy().astype(bool)
    return differing


def _cell_changes(
    old: pa.Table, new: pa.Table, key: list[str], name: str, in_old: Positions, in_new: Positions
) -> CellChanges:
    before, after = in_old[:MAX_EXAMPLES], in_new[:MAX_EXAMPLES]
    values = zip(
        _keys(new, key, after),
        (in_words(value) for value in old.column(name).take(before).to_pylist()),
        (in_words(value) for value in new.column(name).take(after).to_pylist()),
        strict=True,
    )
    return CellChanges(cells=len(in_old), examples=list(values))


def _others(rows: int, chosen: Positions) -> Positions:
    rest = np.ones(rows, dtype=bool)
    rest[chosen] = False
    return np.flatnonzero(rest)


def _keys(table: pa.Table, names: list[str], rows: Positions) -> list[str]:
    taken = table.select(names).take(rows).to_pylist()
    return [" ".join(in_words(value) for value in row.values()) for row in taken]


def in_words(value: Any) -> str:
    """Return a cell's value for people, at most 60 characters."""
    from datetime import datetime

    if value is None:
        return "missing"
    if isinstance(value, datetime):
        text = f"{value:%Y-%m-%dT%H:%M:%S}{'Z' if value.tzinfo else ''}"
    elif isinstance(value, float):
        text = f"{value:.7g}"
    else:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
