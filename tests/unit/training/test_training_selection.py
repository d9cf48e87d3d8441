from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_examples import feature_frame
from mlforge.settings import Settings
from mlforge.spec.search import FeatureSelection
from mlforge.training.plan import FitPlan
from mlforge.training.selection import keep_share, select_features
from search_cases import FEW_TREES, small_training_set, small_use_case

OWN = FitPlan("own", FEW_TREES)


def test_columns_are_kept_until_their_share_is_reached() -> None:
    importance = {"a": 5.0, "b": 3.0, "c": 2.0, "d": 0.0, "e": -1.0}
    assert keep_share(importance, share=0.5) == ["a"]
    assert keep_share(importance, share=0.8) == ["a", "b"]
    assert keep_share(importance, share=1.0) == ["a", "b", "c"]
    assert keep_share(importance, share=1.0, most=2) == ["a", "b"]


def test_where_nothing_is_important_everything_is_kept() -> None:
    assert keep_share({"a": 0.0, "b": -1.0}, share=0.5) == ["a", "b"]


@given(st.dictionaries(st.text(min_size=1), st.floats(-1, 1), min_size=1), st.floats(0.01, 1))
def test_the_kept_columns_hold_the_share(importance: dict[str, float], share: float) -> None:
    kept = keep_share(importance, share=share)
    assert kept
    whole = sum(max(0.0, value) for value in importance.values())
    assert sum(max(0.0, importance[name]) for name in kept) >= share * whole * (1 - 1e-9)


@pytest.mark.parametrize(
    ("family", "method", "keep"), [("own", "shap", 0.9), ("own", "permutation", 0.98), ("linear", "shap", 0.9)]
)
def test_a_column_of_noise_is_left_out_and_one_that_tells_all_is_kept(
    installation: Settings, family: str, method: str, keep: float
) -> None:
    random = np.random.default_rng(0)
    use_case = small_use_case(select_features=FeatureSelection(method=method, keep=keep))
    training_set = small_training_set(
        use_case,
        carrier_delays__noise=lambda frame: random.normal(size=len(frame)),
        carrier_delays__tells=lambda frame: (frame["arr_delay"] > 15) + random.normal(size=len(frame)) / 2,
    )
    plan = OWN if family == "own" else FitPlan(family, {})
    found = select_features(use_case, training_set, plan)
    assert "carrier_delays__noise" not in found.features
    assert "carrier_delays__tells" in found.features
    assert next(iter(found.importance)) == "carrier_delays__tells"
    assert set(found.features) < {*feature_frame().columns, "carrier_delays__tells"}
    assert "left out are" in found.notes[-1]


def test_a_set_that_is_worse_is_not_used(installation: Settings) -> None:
    use_case = small_use_case(select_features=FeatureSelection(keep=1.0, maximum_features=1))
    random = np.random.default_rng(0)

    def half(frame: object) -> object:
        return (frame["arr_delay"] > 15) + random.normal(size=len(frame))  # type: ignore[index, arg-type]

    training_set = small_training_set(use_case, carrier_delays__one=half, carrier_delays__two=half)
    found = select_features(use_case, training_set, OWN)
    assert found.features == ()
    assert "all columns stay" in found.notes[-1]
