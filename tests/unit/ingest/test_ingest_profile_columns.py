"""Statistics by group are those that NumPy finds in each group alone, whatever the order of the rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.ingest.profile_columns import PUBLICATION, QUANTILES, TOP, profile_columns
from mlforge.spec import load_use_case

COLUMNS = {column.name: column for column in load_use_case("flight_delays").contract("weather").columns}
TEMP, ORIGIN = COLUMNS["temp"], COLUMNS["origin"]
ROWS = st.lists(
    st.tuples(st.sampled_from([7, 3, 9]), st.none() | st.integers(-50, 50).map(lambda n: n / 4), st.sampled_from("ab")),
    max_size=60,
)


def _profiles(rows: list[tuple[int, float | None, str | None]], *columns: Any) -> dict[int, dict[str, dict[str, Any]]]:
    groups, temps, origins = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table(
        {
            PUBLICATION: pa.array(groups, pa.int64()),
            "temp": pa.array(temps, pa.float64()),
            "origin": pa.array(origins, pa.string()),
        }
    )
    return profile_columns(table, columns or (TEMP, ORIGIN))


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_each_group_has_its_own_exact_statistics(rows: list[tuple[int, float | None, str]], random: Any) -> None:
    found = _profiles(rows)
    assert set(found) == {group for group, *_ in rows}
    for group, columns in found.items():
        values = [temp for number, temp, _ in rows if number == group and temp is not None]
        temp = columns["temp"]
        assert temp["count"] == len(values)
        assert temp["nulls"] == sum(number == group for number, *_ in rows) - len(values)
        assert temp["distinct"] == len(set(values))
        if values:
            assert (temp["min"], temp["max"]) == (min(values), max(values))
            np.testing.assert_allclose([temp["mean"], temp["std"]], [np.mean(values), np.std(values)], atol=1e-9)
            np.testing.assert_allclose(temp["quantiles"], np.quantile(values, QUANTILES), atol=1e-9)
            ranked = sorted(Counter(values).items(), key=lambda each: (-each[1], each[0]))[:TOP]
            assert temp["top"] == [list(each) for each in ranked]
        else:
            assert temp["min"] is temp["mean"] is None
            assert temp["quantiles"] == [None] * len(QUANTILES)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert _profiles(shuffled) == found


def test_what_is_no_number_leaves_the_order_to_the_others() -> None:
    found = _profiles([(1, 2.0, "a"), (1, math.nan, "a"), (1, 1.0, None), (2, math.nan, None)])
    assert (found[1]["temp"]["min"], found[1]["temp"]["max"], found[1]["temp"]["mean"]) == (1.0, 2.0, None)
    assert found[1]["temp"]["quantiles"][2] == 1.5
    assert found[2]["temp"]["quantiles"] == [None] * len(QUANTILES)
    assert found[2]["temp"]["min"] is None
    assert found[1]["origin"] == {"distinct": 1, "count": 2, "nulls": 1, "min": "a", "max": "a", "top": [["a", 2]]}


def test_personal_columns_give_no_value() -> None:
    found = _profiles([(1, 2.0, "a")], replace(TEMP, classification="restricted"))
    assert found == {1: {"temp": {"distinct": 1, "count": 1, "nulls": 0}}}
