from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from mlforge.metrics import (
    calibration_curve,
    classification_metrics,
    decile_curve,
    from_mean,
    losses,
    regression_metrics,
)

ROWS = st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=2, max_size=200)


@given(rows=ROWS)
def test_the_metrics_are_those_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    labels = np.array([float(late) for late, _ in rows])
    probabilities = np.array([value for _, value in rows])
    metrics = classification_metrics(labels, probabilities)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, probabilities, labels=[0, 1]))
    assert metrics["brier"] == pytest.approx(brier_score_loss(labels, probabilities, pos_label=1))
    if 0 < labels.sum() < len(labels):
        assert metrics["auc"] == pytest.approx(roc_auc_score(labels, probabilities))
    else:
        assert "auc" not in metrics


def test_promises_that_hold_have_no_calibration_error() -> None:
    labels = np.array([0.0, 0.0, 0.0, 1.0])
    assert classification_metrics(labels, np.full(4, 0.25))["ece"] == pytest.approx(0)
    assert classification_metrics(labels, np.full(4, 0.75))["ece"] == pytest.approx(0.5)


def test_certainty_costs_much_but_not_everything() -> None:
    assert np.isfinite(classification_metrics(np.array([1.0, 0.0]), np.array([0.0, 1.0]))["log_loss"])


def test_the_curve_counts_every_row_once() -> None:
    probabilities = np.linspace(0, 1, 101)
    _, _, rows = calibration_curve((probabilities > 0.5).astype(float), probabilities)
    assert rows.sum() == 101


def test_regression_scores_agree_with_the_library() -> None:
    generator = np.random.default_rng(5)
    labels = generator.gamma(2, 20, 500)
    values = labels + generator.normal(3, 10, 500)
    metrics = regression_metrics(labels, values)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(labels, values))
    assert metrics["rmse"] == pytest.approx(root_mean_squared_error(labels, values))
    assert metrics["r2"] == pytest.approx(r2_score(labels, values))
    assert metrics["bias"] == pytest.approx(values.mean() - labels.mean())
    assert metrics["relative_bias"] == pytest.approx(values.mean() / labels.mean() - 1)
    for metric in ("mae", "rmse"):
        assert from_mean(metric, losses(metric, labels, values).mean()) == pytest.approx(metrics[metric])


def test_a_regression_score_that_cannot_be_told_is_left_out() -> None:
    assert set(regression_metrics(np.zeros(3), np.ones(3))) == {"mae", "rmse", "bias"}
    assert "r2" not in regression_metrics(np.full(3, 2.0), np.ones(3))


def test_tenths_rise_with_the_prediction() -> None:
    promised, observed = decile_curve(np.arange(95.0), np.arange(95.0))
    assert len(promised) == 10
    assert (np.diff(promised) > 0).all()
    assert promised == pytest.approx(observed)
    assert len(decile_curve(np.arange(3.0), np.arange(3.0))[0]) == 3
