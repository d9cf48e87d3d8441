from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mlforge.errors import TrainingError
from mlforge.examples import Examples, split_by_time
from mlforge.metrics import log_losses
from mlforge.scoring import encode_columns
from mlforge.spec import UseCase
from mlforge.spec.search import CrossValidation
from mlforge.training.columns import describe_columns
from mlforge.training.cross_validation import fold_losses, prepare_folds
from mlforge.training.fold_days import fold_days
from mlforge.training.plan import FitPlan
from model_examples import PER_DAY, small_examples, small_flights, with_column

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


def flights(**cross_validation: object) -> UseCase:
    return small_flights(cross_validation=CrossValidation.model_validate(cross_validation))


@settings(max_examples=60)
@given(
    folds=st.integers(2, 6),
    days=st.integers(1, 9),
    gap=st.integers(0, 5),
    window=st.sampled_from(["expanding", "sliding"]),
    present=st.sets(st.integers(0, 89), min_size=2),
)
def test_no_fold_sees_a_day_before_it_comes(folds: int, days: int, gap: int, window: str, present: set[int]) -> None:
    times = np.datetime64("2013-01-01", "us") + np.array(sorted(present)) * DAY
    end = np.datetime64("2013-01-01") + 90 * DAY
    use_case = flights(folds=folds, days=days, gap_days=gap, window=window)
    try:
        found = list(fold_days(use_case, times, end))
    except TrainingError as error:
        event(str(error).partition(": ")[2][:20])
        return
    assert len(found) == folds
    assert found[-1].end == end
    for fold, later in itertools.pairwise(found):
        assert fold.end == later.start
    for fold in found:
        assert fold.first < fold.stop < fold.gap <= fold.start < fold.end
        assert fold.start - fold.gap == gap * DAY
        assert fold.end - fold.start == days * DAY
        fitted, stopping, scored = fold.rows(times).values()
        assert fitted.start < fitted.stop
        assert stopping.start < stopping.stop
        longest = use_case.training.validation_days * DAY
        assert fold.gap - fold.stop <= longest or fold.gap - times[stopping.stop - 1].astype("datetime64[D]") > longest
        assert fitted.stop == stopping.start
        assert stopping.stop <= scored.start
    assert found[0].first == times[0]
    if window == "sliding":
        assert len({fold.gap - fold.first for fold in found}) == 1


def test_a_fold_is_what_its_own_rows_would_give(examples: Examples) -> None:
    use_case = flights(folds=3, days=7)
    test = split_by_time(use_case, examples)["test"]
    for fold in prepare_folds(use_case, examples).folds:
        rows = fold.days.rows(examples.times)
        fitted, scored = examples.slice(rows["fitted"]), examples.slice(rows["scored"])
        features, _ = describe_columns(use_case, fitted)
        assert list(fold.features) == features
        names = [feature.name for feature in features]
        assert fold.train.matrix.tobytes() == encode_columns(features, fitted.columns(names)).tobytes()
        assert fold.asked.tobytes() == encode_columns(features, scored.columns(names)).tobytes()
        assert fold.labels.tolist() == scored.labels.tolist()
        assert scored.times.max() < test.times.min()


def test_what_comes_later_changes_no_earlier_fold(examples: Examples) -> None:
    use_case = flights(folds=3, days=7)
    first = prepare_folds(use_case, examples).folds[0]
    end = int(np.searchsorted(examples.times, first.days.end))
    carrier = examples.table.column("carrier").to_pylist()
    later = with_column(examples, "carrier", [*carrier[:end], *["AAA" for _ in carrier[end:]]])
    again = prepare_folds(use_case, later).folds[0]
    assert again.features == first.features
    assert again.train.matrix.tobytes() == first.train.matrix.tobytes()
    assert again.asked.tobytes() == first.asked.tobytes()


def test_losses_come_fold_by_fold_and_can_be_ended(examples: Examples) -> None:
    use_case = flights(folds=3, days=7)
    folds = prepare_folds(use_case, examples)
    told: list[tuple[int, float]] = []
    losses = fold_losses(use_case, folds, FitPlan.of(use_case), on_fold=lambda place, loss: told.append((place, loss)))
    assert told == list(enumerate(losses))
    for fold, loss in zip(folds.folds, losses, strict=True):
        constant = np.full(len(fold.labels), fold.train.labels.mean())
        assert loss < log_losses(fold.labels, constant).mean()

    class PrunedError(Exception):
        pass

    def prune(place: int, loss: float) -> None:
        if place == 1:
            raise PrunedError

    with pytest.raises(PrunedError):
        fold_losses(use_case, folds, FitPlan.of(use_case), on_fold=prune)


def test_without_folds_the_validation_days_are_scored(examples: Examples) -> None:
    use_case = small_flights()
    parts = split_by_time(use_case, examples)
    folds = prepare_folds(use_case, examples)
    assert [fold.labels.tolist() for fold in folds.folds] == [parts["validation"].labels.tolist()]
    assert len(fold_losses(use_case, folds, FitPlan.of(use_case))) == 1


def test_a_plan_of_few_columns_is_fitted_on_them(examples: Examples) -> None:
    use_case = flights(folds=2, days=7)
    folds = prepare_folds(use_case, examples)
    chosen = FitPlan("own", use_case.training.parameters, ("carrier", "weather__temp"))
    few, many = fold_losses(use_case, folds, chosen), fold_losses(use_case, folds, FitPlan.of(use_case))
    assert few != many
    assert few == fold_losses(use_case, folds, chosen)
    with pytest.raises(TrainingError, match=r"1 of the 2 columns that were chosen .* are gone .*weather__gone"):
        fold_losses(use_case, folds, FitPlan("own", {}, ("carrier", "weather__gone")))


def test_fewer_days_than_folds_are_named(examples: Examples) -> None:
    with pytest.raises(
        TrainingError, match=r"9 folds of 7 days leave 0 days to fit the fold scored from .*rows from 2013-01-01 to"
    ):
        prepare_folds(flights(folds=9, days=7), examples)


def test_a_fold_of_one_class_is_named(examples: Examples) -> None:
    labels = examples.labels.copy()
    labels[-21 * PER_DAY : -14 * PER_DAY] = 0.0
    same = Examples(examples.table, labels, examples.times)
    with pytest.raises(TrainingError, match=r"the rows scored 2013-02-\d\d\.\.2013-02-\d\d have one class only"):
        prepare_folds(flights(folds=8, days=3), same)


def test_a_fold_without_rows_is_named(examples: Examples) -> None:
    day = examples.times.astype("datetime64[D]")
    kept = (day < np.datetime64("2013-02-01")) | (day > np.datetime64("2013-02-09"))
    with pytest.raises(TrainingError, match=r"the rows \w+ 2013-\S+ do not exist"):
        prepare_folds(flights(folds=8, days=3), examples.rows(kept))
