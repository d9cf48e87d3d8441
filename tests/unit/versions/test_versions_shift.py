from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.versions import shift
from mlforge.versions.shift import QUANTILES, Numbers, as_floats

VALUES = st.lists(st.floats(-1e6, 1e6) | st.none() | st.just(float("nan")), max_size=30)


def gathered(*parts: list[float | None]) -> Numbers:
    numbers = Numbers()
    for part in parts:
        numbers.add(as_floats(pa.chunked_array([pa.array(part, pa.float64())])))
    return numbers


@settings(max_examples=50)
@given(st.lists(VALUES, max_size=4))
def test_figures_are_those_of_all_values_at_once(parts: list[list[float | None]]) -> None:
    found = gathered(*parts).summary()
    values = np.array([v for part in parts for v in part if v is not None and np.isfinite(v)])
    assert found.rows == sum(map(len, parts))
    assert found.nulls == found.rows - len(values)
    if not len(values):
        assert found.mean is None
        return
    assert found.mean == pytest.approx(values.mean(), abs=1e-6)
    assert found.deviation == pytest.approx(values.std(), abs=1e-3)
    assert found.quantiles == pytest.approx(tuple(np.quantile(values, QUANTILES)))


def test_memory_is_bounded_and_quantiles_stay_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "_KEPT", 1000)
    values = np.random.default_rng(1).normal(size=50_000)
    numbers = gathered(*[list(part) for part in np.array_split(values, 37)])
    assert sum(map(len, numbers._sample)) <= 1000
    found = numbers.summary()
    assert found.mean == pytest.approx(values.mean())
    assert found.quantiles == pytest.approx(tuple(np.quantile(values, QUANTILES)), abs=0.15)


def test_the_same_values_in_other_partitions_give_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "_KEPT", 100)
    values = [float(v) for v in range(950)]
    assert gathered(values).summary().quantiles == gathered(values[:333], values[333:]).summary().quantiles
