from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import TrainingError
from mlforge.examples import Examples, split_by_time
from mlforge.spec import UseCase, load_use_case

START = datetime(2013, 1, 1, tzinfo=UTC)


def make_examples(hours: list[int]) -> Examples:
    times = np.array(sorted((START + timedelta(hours=hour)).replace(tzinfo=None) for hour in hours), "datetime64[us]")
    return Examples(pa.table({"place": list(range(len(times)))}), np.zeros(len(times)), times)


def small_split(days: tuple[int, int]) -> UseCase:
    use_case = load_use_case("flight_delays")
    training = use_case.training.model_copy(update={"validation_days": days[0], "test_days": days[1]})
    return use_case.model_copy(update={"training": training})


@given(hours=st.lists(st.integers(0, 24 * 30), min_size=1, max_size=200), days=st.tuples(*[st.integers(1, 9)] * 2))
def test_every_part_is_wholly_later_than_the_one_before(hours: list[int], days: tuple[int, int]) -> None:
    examples = make_examples(hours)
    try:
        parts = split_by_time(small_split(days), examples)
    except TrainingError:
        return
    assert list(parts) == ["train", "validation", "test"]
    assert sum(len(part) for part in parts.values()) == len(examples)
    assert parts["train"].times.max() < parts["validation"].times.min()
    assert parts["validation"].times.max() < parts["test"].times.min()
    whole_days = {name: set(part.times.astype("datetime64[D]").tolist()) for name, part in parts.items()}
    assert not whole_days["train"] & whole_days["validation"]
    assert not whole_days["validation"] & whole_days["test"]
    newest = examples.times[-1].astype("datetime64[D]")
    assert parts["test"].times.min() >= newest - np.timedelta64(days[1] - 1, "D")


def test_too_few_days_are_a_clear_error() -> None:
    with pytest.raises(TrainingError, match="no example falls into train"):
        split_by_time(small_split((10, 7)), make_examples([24, 48]))


def test_no_examples_are_a_clear_error() -> None:
    with pytest.raises(TrainingError, match="the training set is empty"):
        split_by_time(small_split((10, 7)), make_examples([]))
