"""Casting what a source gives to the types that its contract asks for."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from mlforge.errors import MAX_EXAMPLES, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec import Contract


def cast_table(table: pa.Table, contract: Contract, where: str, *, timezone: str = "UTC") -> pa.Table:
    """Return the table with the contract's columns in its exact Arrow types, in its order; others follow as they are.

    Args:
        table: What the source gave.
        contract: The dataset's contract.
        where: Use case, dataset, partition and source, for the error.
        timezone: Zone of times that say none.

    Raises:
        SourceError: A column is missing, or a value cannot be cast.
    """
    for column in contract.columns:
        require_source_column(table, column.name, where)
    others = [name for name in table.column_names if name not in set(contract.column_names)]
    arrays = {
        column.name: cast_column(table[column.name], column.arrow_type, column.name, where, timezone=timezone)
        for column in contract.columns
    }
    return _table({**arrays, **{name: table[name] for name in others}})


def _table(columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    import pyarrow as pa

    return pa.table(columns)


def require_source_column(table: pa.Table, name: str, where: str) -> None:
    """Check that the source has a column.

    Raises:
        SourceError: It has not; the error names the nearest one.
    """
    if name in table.column_names:
        return
    near = difflib.get_close_matches(name, table.column_names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else f"it has {', '.join(table.column_names)}; "
    raise SourceError(f"the source has no column {name!r}", where=where, hint=f"{hint}correct the contract or the file")


def cast_column(
    values: pa.ChunkedArray, kind: pa.DataType, name: str, where: str, *, timezone: str = "UTC"
) -> pa.ChunkedArray:
    """Return a column in another type, without loss. A time without an offset is taken as of the given zone.

    Raises:
        SourceError: A value cannot be cast; the error shows such values and counts them.
    """
    import pyarrow as pa

    try:
        return _cast(values, kind, timezone)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        wrong = _uncastable(values, kind, timezone)
        raise SourceError(
            f"{len(wrong)} distinct values of the column {name!r} are no {kind}",
            where=where,
            evidence=[repr(value) for value in wrong[: MAX_EXAMPLES + 1]],
            hint="correct the source, or the column's type in the contract",
        ) from None


def _cast(values: pa.ChunkedArray, kind: pa.DataType, timezone: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(kind) and not pa.types.is_timestamp(values.type):
        try:
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            values = pc.cast(values, pa.timestamp("us"))
    if pa.types.is_timestamp(values.type) and values.type.tz is None and pa.types.is_timestamp(kind):
        # Of an hour that comes twice the first one is meant; a time that the clock never shows is an error.
        values = pc.assume_timezone(values, timezone, ambiguous="earliest")
    return pc.cast(values, kind)


def _uncastable(values: pa.ChunkedArray, kind: pa.DataType, timezone: str) -> list[object]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wrong: list[object] = []
    for value in pc.unique(values.drop_null()):
        try:
            _cast(pa.chunked_array([[value.as_py()]], values.type), kind, timezone)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            wrong.append(value.as_py())
    return wrong
