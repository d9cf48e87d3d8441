"""Comparison of two samples without any service."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.drift import MAXIMUM_ROWS, comparable_categories, comparable_numbers, kind_of
from mlforge.errors import MonitoringError
from mlforge.monitoring.comparison import Comparison, _prepare, _Prepared, compare
from mlforge.monitoring.page import render_page


def table(**columns: object) -> pa.Table:
    return pa.table(columns)


def normal(rows: int, *, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, rows)


def compared(before: object, after: object) -> Comparison:
    return compare(table(v__x=before), table(v__x=after), ["v__x"], 0.25)


def test_equal_distributions_do_not_drift_and_a_shift_does() -> None:
    assert compared(normal(5000, seed=1), normal(1000, seed=2)).drifted == ()
    assert compared(normal(5000, seed=1), normal(1000, seed=2, shift=1.5)).drifted == ("v__x",)


def test_the_score_does_not_depend_on_the_call() -> None:
    before, after = normal(3 * MAXIMUM_ROWS, seed=1), normal(1000, seed=2)
    assert compared(before, after).scores == compared(before, after).scores


def test_a_constant_column_is_compared() -> None:
    ones = np.ones(500)
    assert compared(ones, ones).scores == {"v__x": 0.0}
    assert compared(ones, ones * 2).drifted == ("v__x",)


@pytest.mark.parametrize("nothing", [pa.nulls(500), pa.array([None] * 500, pa.float64()), np.full(500, np.nan)])
def test_a_column_without_values_is_a_finding_on_either_side(nothing: object) -> None:
    something = normal(500, seed=1)
    gone, unknown = compared(something, nothing), compared(nothing, something)
    assert gone.drifted == ("v__x",)
    assert gone.findings["v__x"].startswith("empty")
    assert unknown.drifted == ()
    assert unknown.findings["v__x"].startswith("unknown")
    assert gone.scores == unknown.scores == {}


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.3, 0.95))
def test_values_that_vanish_are_drift_even_where_the_rest_is_equal(share: float) -> None:
    values = normal(500, seed=2)
    values[: int(share * 500)] = np.nan

    prepared = _Prepared()
    _prepare(prepared, "v__x", table(v__x=normal(500, seed=1)), table(v__x=values), 0.25)
    assert prepared.drifted == {"v__x"}


@pytest.mark.parametrize(("before", "after", "name"), [(500, 99, "partition"), (1, 500, "training set"), (0, 0, "")])
def test_too_few_rows_are_an_error(before: int, after: int, name: str) -> None:
    with pytest.raises(MonitoringError, match=f"the .*{name} has"):
        compared(normal(before, seed=1), normal(after, seed=2))


def test_absurd_values_are_clipped_to_three_widths() -> None:
    reference = pd.Series(normal(5000, seed=1))
    _, current = comparable_numbers(reference, pd.Series([1e12, float("inf"), 0.0, np.nan]))
    assert current.max() < 10
    assert current.isna().sum() == 1


def test_a_column_that_is_nearly_always_zero_keeps_its_other_values() -> None:
    reference = pd.Series([0.0] * 999 + [5.0])
    _, current = comparable_numbers(reference, pd.Series([7.0, 0.0]))
    assert list(current) == [7.0, 0.0]


def test_rare_and_unknown_categories_count_as_one() -> None:
    reference = pd.Series(["a"] * 995 + ["b"] * 5)
    old, new = comparable_categories(reference, pd.Series(["a", "new", None]))
    assert set(old) == {"a", "(other)"}
    assert list(new[:2]) == ["a", "(other)"]
    assert new.isna().sum() == 1


@pytest.mark.parametrize(
    ("arrow_type", "kind"),
    [
        (pa.int16(), "number"),
        (pa.decimal128(5, 2), "number"),
        (pa.bool_(), "category"),
        (pa.dictionary(pa.int32(), pa.string()), "category"),
        (pa.timestamp("us", tz="UTC"), None),
    ],
)
def test_kinds_of_columns(arrow_type: pa.DataType, kind: str | None) -> None:
    assert kind_of(arrow_type) == kind


def test_the_page_escapes_what_it_shows() -> None:
    page = render_page("", title="<b>", facts={"a": "<i>"}, findings={"<u>": "x"})
    assert "<b>" not in page
    assert "<i>" not in page
    assert "<u>" not in page
    assert page.index("Content-Security-Policy") < page.index("<body>")
