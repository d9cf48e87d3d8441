from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from flight_examples import feature_frame, make_training_set
from mlforge.errors import TrainingError
from mlforge.examples import Examples, load_examples, split_by_time
from mlforge.metrics import classification_metrics
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge.training.columns import describe_columns, input_columns
from mlforge.training.fitting import FittedModel, fit_model


def with_training(**changes: Any) -> UseCase:
    use_case = load_use_case("flight_delays")
    return use_case.model_copy(update={"training": use_case.training.model_copy(update=changes)})


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return with_training(minimum_rows=100)


@pytest.fixture(scope="module")
def examples(use_case: UseCase, installation: Settings) -> Examples:
    return load_examples(use_case, make_training_set(use_case))


@pytest.fixture(scope="module")
def fitted(use_case: UseCase, examples: Examples) -> FittedModel:
    return fit_model(use_case, examples)


def examples_of(use_case: UseCase, frame: pd.DataFrame) -> Examples:
    return load_examples(use_case, make_training_set(use_case, frame=frame))


def test_the_same_rows_give_the_same_bytes(use_case: UseCase, examples: Examples, fitted: FittedModel) -> None:
    again = fit_model(use_case, examples)
    assert again.fitted.content == fitted.fitted.content
    assert again.description == fitted.description
    assert again.content_hash == fitted.content_hash


def test_the_rows_order_in_the_file_is_no_matter(use_case: UseCase, installation: Settings) -> None:
    frame = feature_frame().iloc[:6000].drop_duplicates("event_timestamp")
    one = fit_model(use_case, examples_of(use_case, frame))
    other = fit_model(use_case, examples_of(use_case, frame.sample(frac=1, random_state=1)))
    assert one.content_hash == other.content_hash


def test_a_model_of_real_flights_beats_the_base_rate(
    use_case: UseCase, examples: Examples, fitted: FittedModel
) -> None:
    parts = split_by_time(use_case, examples)
    model = fitted.scoring_model(use_case)
    labels = parts["test"].labels
    scores = classification_metrics(labels, model.score(parts["test"].columns(model.feature_names)))
    base = classification_metrics(labels, np.full(len(labels), parts["train"].labels.mean()))
    assert scores["auc"] > 0.65
    assert scores["log_loss"] < base["log_loss"]


def test_calibration_is_monotone_and_keeps_the_level(fitted: FittedModel) -> None:
    margins = np.linspace(-8, 8, 500)
    probabilities = fitted.description.calibration.scores(margins)
    assert (np.diff(probabilities) > 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_outcomes_keys_and_times_are_no_features(use_case: UseCase, fitted: FittedModel) -> None:
    names = [feature.name for feature in fitted.description.features]
    assert {"carrier", "origin", "dest", "sched_hour", "weather__temp", "planes__engine"} <= set(names)
    assert not {"arr_delay", "flight", "tailnum", "scheduled_departure", "event_timestamp", "known_at"} & set(names)


def test_constant_columns_are_left_out(use_case: UseCase, installation: Settings) -> None:
    frame = feature_frame().iloc[:6000].assign(weather__temp=1.0, planes__engine=None, weather__visib=np.nan)
    features, constant = describe_columns(use_case, split_by_time(use_case, examples_of(use_case, frame))["train"])
    assert sorted(constant) == ["planes__engine", "weather__temp", "weather__visib"]
    assert not {feature.name for feature in features} & set(constant)


def test_categories_are_those_of_the_training_rows(use_case: UseCase, installation: Settings) -> None:
    frame = feature_frame().iloc[:6000].reset_index(drop=True)
    frame.loc[frame.index[-1], "carrier"] = "ZZ"
    features, _ = describe_columns(use_case, split_by_time(use_case, examples_of(use_case, frame))["train"])
    carriers = next(feature for feature in features if feature.name == "carrier").categories
    assert list(carriers) == sorted(carriers)
    assert "UA" in carriers
    assert "ZZ" not in carriers


def test_features_can_be_dropped_by_name() -> None:
    available = ["carrier", "weather__temp", "weather__wind_speed", "unknown__x"]
    assert "weather__temp" not in input_columns(with_training(drop_features=["weather__temp"]), available)
    with pytest.raises(TrainingError, match="did you mean 'weather__temp'"):
        input_columns(with_training(drop_features=["weather_temp"]), available)


def test_too_few_rows_are_refused(examples: Examples) -> None:
    with pytest.raises(TrainingError, match=r"19361 labelled rows, training.minimum_rows is 50000"):
        fit_model(with_training(minimum_rows=50_000), examples)


def test_one_class_is_refused(use_case: UseCase, installation: Settings) -> None:
    frame = feature_frame().iloc[:6000].assign(arr_delay=0.0)
    with pytest.raises(TrainingError, match="the train rows have one class only"):
        fit_model(use_case, examples_of(use_case, frame))


def test_a_missing_outcome_is_refused(use_case: UseCase, installation: Settings) -> None:
    frame = feature_frame().iloc[:6000].reset_index(drop=True)
    frame.loc[0, "arr_delay"] = np.nan
    with pytest.raises(TrainingError, match=r"outcomes are missing .*arr_delay"):
        examples_of(use_case, frame)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 2.0])
def test_a_label_that_is_none_is_refused(
    use_case: UseCase, installation: Settings, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    from mlforge.spec.module import load_model_module

    monkeypatch.setattr(load_model_module(use_case), "label", lambda outcome: [wrong for _ in outcome["arr_delay"]])
    with pytest.raises(TrainingError, match="labels are neither 0 nor 1"):
        examples_of(use_case, feature_frame().iloc[:200])


def test_parameters_that_cannot_be_used_are_refused(examples: Examples) -> None:
    with pytest.raises(TrainingError, match="the model cannot be fitted"):
        fit_model(with_training(parameters={"max_depth": -3}), examples)
