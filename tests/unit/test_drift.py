from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlforge.drift import drift_scores, psi_of_shares
from mlforge.monitoring.comparison import compare

GENERATOR = np.random.default_rng(0)


def with_nulls(values: np.ndarray, share: float) -> pa.Array:
    return pa.array(values, mask=GENERATOR.random(len(values)) < share)


COLUMNS = {
    "many values": (GENERATOR.normal(0, 1, 3000), GENERATOR.normal(0.4, 1, 900)),
    "with nulls": (with_nulls(GENERATOR.normal(0, 1, 3000), 0.2), with_nulls(GENERATOR.normal(0.2, 1, 900), 0.25)),
    "few values": (GENERATOR.integers(0, 6, 3000), GENERATOR.integers(0, 8, 900)),
    "an absurd value": (GENERATOR.normal(0, 1, 3000), np.r_[GENERATOR.normal(0.4, 1, 899), 1e9]),
    "a constant": (np.full(3000, 7.0), np.full(900, 7.0)),
    "text": (GENERATOR.choice(list("abc"), 3000, p=[0.5, 0.3, 0.2]), GENERATOR.choice(list("abcd"), 900)),
    "more than Evidently takes": (GENERATOR.normal(0, 1, 30_000), GENERATOR.normal(0.1, 1, 25_000)),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_the_gate_and_the_monitors_say_the_same_of_a_column(column: str) -> None:
    before, after = (pa.table({"v__x": pa.array(values)}) for values in COLUMNS[column])
    theirs = compare(before, after, ["v__x"], 0.25).scores["v__x"]
    assert drift_scores(before, after, ["v__x"])["v__x"] == pytest.approx(theirs, abs=2e-6)


def test_a_column_that_lost_its_values_has_drifted_and_one_that_never_had_any_is_not_told() -> None:
    before = pa.table({"lost": np.arange(500.0), "never": pa.nulls(500, pa.float64()), "time": pa.nulls(500)})
    after = pa.table({"lost": pa.nulls(500, pa.float64()), "never": np.arange(500.0), "time": pa.nulls(500)})
    scores = drift_scores(before, after, ["lost", "never", "time"])
    assert list(scores) == ["lost"]
    assert scores["lost"] == psi_of_shares(0, 1) > 5
