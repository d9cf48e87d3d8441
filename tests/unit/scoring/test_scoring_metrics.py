from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from mlforge.metrics import calibration_curve, classification_metrics

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
