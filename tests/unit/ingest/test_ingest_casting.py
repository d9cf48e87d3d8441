from __future__ import annotations

import pyarrow as pa
import pytest

from mlforge.errors import SourceError
from mlforge.ingest.casting import cast_column

UTC = pa.timestamp("us", tz="UTC")


def column(*values: object) -> pa.ChunkedArray:
    return pa.chunked_array([list(values)])


def test_text_becomes_the_type_and_missing_stays_missing() -> None:
    assert cast_column(column("1", None), pa.int16(), "n", "f").to_pylist() == [1, None]
    assert cast_column(column("1.5"), pa.float64(), "n", "f").to_pylist() == [1.5]


def test_a_time_without_an_offset_is_utc() -> None:
    with_offset = cast_column(column("2013-01-01T02:00:00+02:00"), UTC, "t", "f")
    assert cast_column(column("2013-01-01T00:00:00"), UTC, "t", "f") == with_offset


@pytest.mark.parametrize(
    ("values", "kind"), [(["1", "x"], pa.int16()), (["70000"], pa.int16()), ([1.5], pa.int32()), (["2013"], pa.bool_())]
)
def test_what_would_lose_something_is_an_error_with_an_example(values: list[object], kind: pa.DataType) -> None:
    with pytest.raises(SourceError, match=rf"1 distinct values of the column 'n' are no {kind}.*{values[-1]}"):
        cast_column(column(*values), kind, "n", "file.csv")


def test_at_most_five_examples_are_shown() -> None:
    with pytest.raises(SourceError, match="30 distinct values") as raised:
        cast_column(column(*(f"x{n}" for n in range(30))), pa.int32(), "n", "file.csv")
    assert str(raised.value).count("'x") == 5
