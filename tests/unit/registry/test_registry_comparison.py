from __future__ import annotations

import numpy as np
import pytest

from mlforge.metrics import losses
from mlforge.registry.comparison import Comparison, compare_losses
from mlforge.registry.resampling import resampled_means
from mlforge.spec.gates import Gates


def compare_scores(gates: Gates, labels: np.ndarray, *, challenger: np.ndarray, champion: np.ndarray) -> Comparison:
    first, second = (losses(gates.metric, labels, values) for values in (challenger, champion))
    return compare_losses(gates, challenger=first, champion=second)


def make_rows(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    probabilities = generator.beta(2, 6, rows)
    return (generator.random(rows) < probabilities).astype(float), probabilities


def test_a_model_is_no_worse_than_itself() -> None:
    labels, probabilities = make_rows()
    comparison = compare_scores(Gates(), labels, challenger=probabilities, champion=probabilities)
    assert comparison.difference == comparison.lower == comparison.upper == 0
    assert comparison.non_inferior


def test_a_worse_model_is_refused_and_a_better_one_passes() -> None:
    labels, probabilities = make_rows()
    blunt = np.full(len(labels), probabilities.mean())
    worse = compare_scores(Gates(), labels, challenger=blunt, champion=probabilities)
    better = compare_scores(Gates(), labels, challenger=probabilities, champion=blunt)
    assert not worse.non_inferior
    assert worse.lower > 0
    assert better.non_inferior
    assert better.upper < 0
    assert worse.difference == -better.difference


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(3).normal(0.5, 2.0, 3000)
    means = resampled_means(values[:, None], None, samples=2000)
    assert abs(means.mean() - values.mean()) < 0.005
    assert abs(means.std() - values.std() / np.sqrt(len(values))) < 0.003
    assert (means == resampled_means(values[:, None], None, samples=2000)).all()


def test_errors_of_values_are_compared_in_their_own_unit() -> None:
    generator = np.random.default_rng(1)
    outcomes = generator.gamma(2, 20, 3000)
    good, bad = (outcomes + generator.normal(0, width, 3000) for width in (8, 10))
    for metric in ("mae", "rmse"):
        gates = Gates(metric=metric, non_inferiority_margin=0.5)
        worse = compare_scores(gates, outcomes, challenger=bad, champion=good)
        assert worse.lower < worse.difference < worse.upper
        assert not worse.non_inferior
        assert compare_scores(gates, outcomes, challenger=good, champion=bad).non_inferior
    assert worse.champion == pytest.approx(8, abs=0.5)
    assert worse.difference == pytest.approx(2, abs=0.5)
