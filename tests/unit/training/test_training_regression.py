"""A regression is fitted and compared by the code that fits classifications."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlforge.errors import TrainingError
from mlforge.examples import Examples, _labels
from mlforge.metrics import measure
from mlforge.scoring import NoCalibration
from mlforge.spec import UseCase, load_use_case
from mlforge.training.baselines import Known, baseline_scores
from mlforge.training.fitting import FittedModel, fit_model

WEEKS, HOUSEHOLDS = 20, 150


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    shipped = load_use_case("household_spend")
    training = {"minimum_rows": 100, "parameters": {"n_estimators": 60, "max_depth": 3, "learning_rate": 0.2}}
    return shipped.model_copy(update={"training": shipped.training.model_copy(update=training)})


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Households that spend about what they spent before, from one week to the next."""
    generator = np.random.default_rng(0)
    habit = generator.gamma(2, 20, HOUSEHOLDS)
    spend = np.array([habit * generator.gamma(4, 0.25, HOUSEHOLDS) for _ in range(WEEKS)]).ravel()
    starts = np.datetime64("2017-01-02", "us") + np.arange(WEEKS) * np.timedelta64(7, "D")
    last = np.concatenate([np.full(HOUSEHOLDS, np.nan), spend[:-HOUSEHOLDS]])
    table = pa.table(
        {
            "day_of_month": np.repeat([int(str(start)[8:10]) for start in starts], HOUSEHOLDS),
            "spending__spend_1w": pa.array(last, from_pandas=True),
            "spending__spend_12w": np.tile(habit * 12, WEEKS),
        }
    )
    return Examples(table, spend, np.repeat(starts, HOUSEHOLDS))


@pytest.fixture(scope="module")
def fitted(use_case: UseCase, examples: Examples) -> FittedModel:
    return fit_model(use_case, examples)


def test_a_regression_scores_in_the_unit_of_its_outcome(
    use_case: UseCase, examples: Examples, fitted: FittedModel
) -> None:
    model = fitted.scoring_model(use_case)
    assert model.description.task == "regression"
    assert model.description.calibration == NoCalibration()
    # The objective has a logarithmic link: raw margins would be about 3.
    values = model.score(examples.columns(model.feature_names))
    assert values.mean() == pytest.approx(examples.labels.mean(), rel=0.1)
    assert fitted.metrics["validation_mae"] < fitted.metrics["validation_rmse"]
    assert measure("regression", examples.labels, values)["r2"] > 0.4


def test_the_same_examples_give_the_same_bytes(use_case: UseCase, examples: Examples, fitted: FittedModel) -> None:
    assert fit_model(use_case, examples).content_hash == fitted.content_hash


def test_baselines_are_the_mean_a_line_and_the_last_value(
    use_case: UseCase, examples: Examples, fitted: FittedModel
) -> None:
    model = fitted.scoring_model(use_case)
    matrix = model.encode(examples.columns(model.feature_names))
    last = np.array([np.nan, 12.5])
    known = Known(model.features, matrix[:-2], examples.labels[:-2], matrix[-2:], last)
    scores = baseline_scores("regression", known)
    mean = examples.labels[:-2].mean()
    assert scores["mean"] == pytest.approx([mean, mean])
    assert scores["last_value"] == pytest.approx([mean, 12.5])
    assert np.isfinite(scores["linear_regression"]).all()
    without = Known(model.features, matrix[:-2], examples.labels[:-2], matrix[-2:])
    assert set(baseline_scores("regression", without)) == {"mean", "linear_regression"}


def test_labels_of_a_regression_are_finite_numbers(use_case: UseCase) -> None:
    assert _labels(use_case, {"spend": [0.0, 12.5]}, "here").tolist() == [0.0, 12.5]
    with pytest.raises(TrainingError, match="no finite numbers"):
        _labels(use_case, {"spend": [1.0, float("inf")]}, "here")


def test_outcomes_that_are_all_the_same_cannot_be_learned(use_case: UseCase, examples: Examples) -> None:
    same = Examples(examples.table, np.full(len(examples), 3.0), examples.times)
    with pytest.raises(TrainingError, match="one label only"):
        fit_model(use_case, same)
