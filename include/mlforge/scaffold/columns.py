"""What a column is: its type, its gaps, how many values it has, and between which bounds they lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlforge.errors import SourceError
from mlforge.scaffold.names import aliases, require_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.scaffold.reading import Sample

Kind = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
_LEADING_ZERO = r"^-?0[0-9]+$"
_FIRST = 200
_NUMBER = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d{2}-\d{2}.*")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a source.

    Attributes:
        alias: The identifier under which it is a field.
        values: In the type that the contract will give it; times are UTC.
        zoned: Whether its times have an offset.
        distinct: How many different values there are, gaps not counted.
        lowest: Least value, or length of the shortest text; None where there is no value.
        highest: Greatest value, or length of the longest text.
        usual: The value that is there most often.
    """

    name: str
    alias: str
    kind: Kind
    values: pa.ChunkedArray
    zoned: bool
    nulls: int
    distinct: int
    lowest: Any
    highest: Any
    usual: Any

    @property
    def constant(self) -> bool:
        """Whether it says nothing."""
        return self.distinct < 2

    @property
    def numeric(self) -> bool:
        """Whether a mean of it makes sense to a computer."""
        return self.kind in {"integer", "number", "boolean"}

    @property
    def temporal(self) -> bool:
        """Whether its values are times."""
        return self.kind in {"date", "timestamp"}


def describe_columns(sample: Sample, *, timezone: str = "UTC") -> dict[str, Column]:
    """Return the columns of a sample by name, in order.

    Args:
        sample: What was read.
        timezone: Zone of times that say none.

    Raises:
        SourceError: There is one column only, or the first line is no header.
        SpecError: A column has a name that cannot be used.
    """
    names = sample.table.column_names
    where = sample.origin.label
    require_columns(names, where)
    if len(names) < 2:
        raise SourceError(
            "it has one column only", where=where, evidence=names, hint="a time and a target are needed at least"
        )
    if sample.text and all(_NUMBER.fullmatch(name) for name in names):
        raise SourceError("the first line is no header", where=where, evidence=names, hint="add the columns' names")
    fields = aliases(names)
    return {
        name: _describe(name, fields[name], _typed(sample.table[name], timezone, text=sample.text)) for name in names
    }


def _describe(name: str, alias: str, typed: tuple[Kind, pa.ChunkedArray, bool]) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, values, zoned = typed
    counts = pc.value_counts(values.drop_null())
    measured = pc.utf8_length(values) if kind == "string" else values
    bounds = {"min": None, "max": None} if kind == "boolean" else pc.min_max(measured).as_py()
    if kind == "number" and pa.types.is_floating(values.type) and not pc.all(pc.is_finite(values)).as_py():
        bounds = {"min": None, "max": None}  # NaN and infinity have no bounds
    return Column(
        name=name,
        alias=alias,
        kind=kind,
        values=values,
        zoned=zoned,
        nulls=values.null_count,
        distinct=len(counts),
        lowest=bounds["min"],
        highest=bounds["max"],
        usual=_usual(counts),
    )


def _usual(counts: pa.StructArray) -> Any:
    """Return the value that is there most often; of several the first in writing, so that it is always the same."""
    import pyarrow.compute as pc

    if not len(counts):
        return None
    most = pc.equal(counts.field("counts"), pc.max(counts.field("counts")))
    return min(counts.field("values").filter(most).to_pylist(), key=str)


def _typed(raw: pa.ChunkedArray, timezone: str, *, text: bool) -> tuple[Kind, pa.ChunkedArray, bool]:
    """Return a column's type, its values in it, and whether its times have an offset."""
    import pyarrow as pa

    kind = raw.type.value_type if pa.types.is_dictionary(raw.type) else raw.type
    for fits, name, target in (
        (pa.types.is_null, "string", pa.string()),
        (pa.types.is_boolean, "boolean", pa.bool_()),
        (pa.types.is_uint64, "number", pa.float64()),
        (pa.types.is_integer, "integer", pa.int64()),
        (pa.types.is_floating, "number", pa.float64()),
        (pa.types.is_decimal, "number", pa.float64()),
        (pa.types.is_date, "date", pa.date32()),
    ):
        if fits(kind):
            return name, raw.cast(target), False  # type: ignore[return-value]  # the literals above
    if pa.types.is_timestamp(kind):
        return "timestamp", _instants(raw, timezone), kind.tz is not None
    return _typed_text(raw.cast(pa.string()), timezone, numbers=text)


def _instants(values: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type.tz is None:
        try:
            values = pc.assume_timezone(values, timezone, ambiguous="earliest")
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"a clock in {timezone} never shows some of the times: {error}", hint="choose another --timezone"
            ) from error
    return values.cast(pa.timestamp("us", tz="UTC"), safe=False)


def _typed_text(raw: pa.ChunkedArray, timezone: str, *, numbers: bool) -> tuple[Kind, pa.ChunkedArray, bool]:
    """Return the narrowest type that every text of a column can be cast to, as extraction casts it.

    Args:
        raw: The texts.
        timezone: Zone of times that say none.
        numbers: Whether texts may be numbers at all: in a typed source they are meant as text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if raw.null_count == len(raw):
        return "string", raw, False
    dates = _cast(raw, pa.date32())
    if dates is not None:
        return "date", dates, False
    for target, zoned in ((pa.timestamp("us", tz="UTC"), True), (pa.timestamp("us"), False)):
        moments = _cast(raw, target)
        if moments is not None:
            return "timestamp", _instants(moments, timezone), zoned
    if not numbers or pc.any(pc.match_substring_regex(raw, _LEADING_ZERO)).as_py():
        return "string", raw, False  # 007 is a code, not seven
    kinds: tuple[tuple[Kind, pa.DataType], ...] = (
        ("integer", pa.int64()), ("number", pa.float64()), ("boolean", pa.bool_()),
    )  # fmt: skip
    for kind, target in kinds:
        values = _cast(raw, target)
        if values is not None:
            return kind, values, False
    return "string", raw, False


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Return a column in another type, None where a value is none; the first few are asked before all are."""
    import pyarrow as pa

    try:
        values.slice(0, _FIRST).cast(kind)
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None
