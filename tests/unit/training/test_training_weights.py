from __future__ import annotations

import numpy as np
import pytest

from mlforge.errors import TrainingError
from mlforge.examples import Examples, split_by_time
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from mlforge.training.weights import balance_shift, fit_weights
from model_examples import own_use_case, small_examples, small_flights, with_column

RARE = 0.05


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


@pytest.fixture(scope="module")
def rare(examples: Examples) -> Examples:
    """Few flights are late."""
    kept = (examples.labels == 0) | (np.random.default_rng(1).random(len(examples)) < 0.2)
    return examples.rows(kept)


def test_rows_weigh_the_same_unless_told(examples: Examples) -> None:
    assert fit_weights(small_flights(), examples) is None


def test_a_row_of_one_half_life_weighs_half(examples: Examples) -> None:
    weights = fit_weights(small_flights(half_life_days=10), examples)
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    age = (examples.times[-1] - examples.times) / np.timedelta64(1, "D")
    assert weights / weights[-1] == pytest.approx(0.5 ** (age / 10))


def test_balanced_classes_weigh_the_same_whatever_their_age(examples: Examples) -> None:
    weights = fit_weights(small_flights(class_balance="balanced", half_life_days=5), examples)
    assert weights is not None
    late = examples.labels > 0
    assert weights[late].sum() == pytest.approx(weights[~late].sum())
    assert weights.mean() == pytest.approx(1)


def test_a_column_gives_the_weights(examples: Examples) -> None:
    weights = fit_weights(small_flights(weight_column="weight"), examples)
    column = examples.columns(["weight"])["weight"]
    assert weights == pytest.approx(column / np.mean(column))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_are_numbers_above_zero(examples: Examples, wrong: float) -> None:
    values = np.ones(len(examples))
    values[3] = wrong
    with pytest.raises(TrainingError, match=r"training.weight_column 'weight': 1 of 2400 weights are no numbers"):
        fit_weights(small_flights(weight_column="weight"), with_column(examples, "weight", values))


def test_a_weight_column_is_numbers_and_is_there(examples: Examples) -> None:
    with pytest.raises(TrainingError, match="weights are text"):
        fit_weights(small_flights(weight_column="carrier"), examples)
    with pytest.raises(TrainingError, match=r"lacks columns .*gone"):
        fit_weights(small_flights(weight_column="gone"), examples)


@pytest.mark.parametrize(
    ("family", "calibration"),
    [
        ("own", "sigmoid"),
        ("own", "isotonic"),
        ("own", "none"),
        ("lightgbm", "none"),
        ("hist_gradient_boosting", "none"),
        ("linear", "none"),
    ],
)
def test_calibration_takes_the_balance_back(rare: Examples, family: str, calibration: str) -> None:
    use_case = small_flights(class_balance="balanced", calibration=calibration)
    fitted = fit_model(use_case, rare, FitPlan(family, QUICK[family]))
    known = split_by_time(use_case, rare)
    model = fitted.scoring_model(use_case)
    matrix = model.encode(known["train"].columns(model.feature_names))
    rate = float(known["train"].labels.mean())
    assert model.predict(matrix).mean() == pytest.approx(rate, abs=0.05)
    raw = model.predictor.raw_scores(matrix, "classification")
    # Before it, half of the flights seem late.
    assert (1 / (1 + np.exp(-raw))).mean() > 2 * rate


QUICK = {
    "own": {"n_estimators": 30, "max_depth": 2},
    "xgboost": {"n_estimators": 30, "max_depth": 2},
    "lightgbm": {"n_estimators": 30, "num_leaves": 4},
    "hist_gradient_boosting": {"max_iter": 30, "max_leaf_nodes": 4},
    "linear": {},
}


def test_the_shift_is_that_of_the_base_rate(rare: Examples) -> None:
    assert balance_shift(small_flights(), rare.labels) == 0.0
    shift = balance_shift(small_flights(class_balance="balanced"), rare.labels)
    assert 1 / (1 + np.exp(shift)) == pytest.approx(rare.labels.mean())


def test_an_estimator_that_takes_no_weights_is_refused(
    tmp_path_factory: pytest.TempPathFactory, examples: Examples
) -> None:
    build = "from sklearn.neighbors import KNeighborsClassifier\n    return KNeighborsClassifier()"
    model = f"def build_model(params):\n    {build}\n"
    use_case = own_use_case(tmp_path_factory.mktemp("own"), model, half_life_days=5)
    with pytest.raises(TrainingError, match="KNeighborsClassifier takes no weights"):
        fit_model(use_case, examples)
