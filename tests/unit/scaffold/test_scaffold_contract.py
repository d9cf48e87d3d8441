"""Rules that are inferred from values hold for these values, whatever they are."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.scaffold.columns import Column, describe_columns
from mlforge.scaffold.contract import range_options, text_options
from mlforge.scaffold.reading import Origin, Sample


def column_of(values: list[Any], kind: pa.DataType) -> Column:
    table = pa.table({"value": pa.array(values, kind), "other": pa.array([None] * len(values), pa.string())})
    return describe_columns(Sample(Origin("x", {}), table, text=False, whole=True))["value"]


@settings(max_examples=50)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1))
def test_numbers_lie_within_their_range(values: list[float | None]) -> None:
    options = range_options(column_of(values, pa.float64()))
    known = [value for value in values if value is not None]
    assert all(options.get("minimum", value) <= value <= options.get("maximum", value) for value in known)


@settings(max_examples=50)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_lie_within_their_range(values: list[int]) -> None:
    options = range_options(column_of(values, pa.int64()))
    assert all(options.get("minimum", value) <= value <= options.get("maximum", value) for value in values)
    assert all(isinstance(limit, int) for limit in options.values())


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.from_regex(r"[A-Z]{1,9}", fullmatch=True)))
def test_texts_keep_their_lengths_and_patterns(values: list[str]) -> None:
    options = text_options(column_of([*values, None], pa.string()))
    for value in values:
        assert options.get("minLength", 0) <= len(value) <= options.get("maxLength", len(value))
        assert re.search(options.get("pattern", ""), value)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([0.0, 0.4, 1.0], {"minimum": 0, "maximum": 1}),
        ([10.0, 110.0], {"minimum": 0, "maximum": 160}),
        ([-20.0, 80.0], {"minimum": -70, "maximum": 130}),
        ([1900.0, 2000.0], {"minimum": 1800, "maximum": 2100}),
        ([1.0, float("nan")], {}),
        ([3.0, 3.0], {}),
        ([-1e-38, 0.0], {"minimum": -1.5e-38, "maximum": 5e-39}),
        ([-5e-324, 0.0], {"minimum": -5e-324, "maximum": 0.0}),
    ],
)
def test_ranges_are_round_and_have_room(values: list[float], options: dict[str, float]) -> None:
    assert range_options(column_of(values, pa.float64())) == options


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["EWR", "JFK"], {"pattern": "^[A-Z]{3}$"}),
        (["12", "3"], {"pattern": "^[0-9]{1,8}$"}),
        (["a b", "c"], {"minLength": 1, "maxLength": 8}),
    ],
)
def test_texts_of_one_kind_get_a_pattern(values: list[str], options: dict[str, Any]) -> None:
    assert text_options(column_of(values, pa.string())) == options
