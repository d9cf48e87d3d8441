"""Single values between JSON and Arrow, in a contract's types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.contract import Column

_READ: dict[str, Callable[[Any], Any]] = {
    "date": dt.date.fromisoformat,
    "timestamptz": dt.datetime.fromisoformat,
    "time without time zone": dt.time.fromisoformat,
    "double precision": float,
}


def arrow_scalar(value: Any, column: Column) -> pa.Scalar:
    """Return a JSON value, as PostgreSQL writes it, as the Arrow value that the column holds."""
    import pyarrow as pa

    read = _READ.get(column.sql_type)
    return pa.scalar(read(value) if read and value is not None else value, column.arrow_type)


def json_value(value: Any) -> Any:
    """Return an Arrow value as a JSON value."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    return value
