"""What the gate's alpha promises, tried on many windows in which two models are equal, or apart by the margin."""

from __future__ import annotations

import numpy as np
import pytest

from mlforge.registry.comparison import Comparison, compare_losses
from mlforge.spec.gates import Gates

WINDOWS = 1000
SAMPLES = 400
ROWS = 150


def allowed(alpha: float) -> float:
    """Return the largest share of false promotions that chance explains, at three standard errors."""
    return alpha + 3 * float(np.sqrt(alpha * (1 - alpha) / WINDOWS))


def compared(gates: Gates, differences: np.ndarray, clusters: np.ndarray | None = None) -> Comparison:
    """Return the comparison of two models whose losses differ so."""
    return compare_losses(gates, challenger=differences, champion=np.zeros(len(differences)), clusters=clusters)


def make_gates(**values: object) -> Gates:
    return Gates.model_validate({"bootstrap_samples": SAMPLES, "alpha": 0.05, **values})


def skewed(generator: np.random.Generator, rows: int) -> np.ndarray:
    """Return differences like those of two models' log losses: mostly small, a few large, mean zero."""
    return generator.standard_t(4, rows) * generator.gamma(1.0, 0.05, rows)


def by_day(generator: np.random.Generator, days: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return differences with a part that all rows of a day share, mean zero, and the day of each row."""
    day = np.repeat(np.arange(days), rows)
    return generator.normal(0, 0.05, days)[day] + skewed(generator, days * rows), day


@pytest.mark.parametrize("alpha", [0.025, 0.05])
def test_of_two_equal_models_one_is_promoted_as_better_at_most_alpha_of_the_time(alpha: float) -> None:
    generator, gates = np.random.default_rng(1), make_gates(rule="superiority", alpha=alpha)
    promoted = [compared(gates, skewed(generator, ROWS)).passed for _ in range(WINDOWS)]
    assert np.mean(promoted) <= allowed(alpha)
    assert np.mean(promoted) > alpha / 4  # it does promote: the interval is not just wide


@pytest.mark.parametrize("days", [5, 7, 14])
def test_that_holds_where_the_rows_of_a_day_go_together(days: int) -> None:
    generator, gates = np.random.default_rng(2), make_gates(rule="superiority", resample="day")
    promoted = [compared(gates, *by_day(generator, days, 25)).passed for _ in range(WINDOWS)]
    assert gates.alpha / 4 < np.mean(promoted) <= allowed(gates.alpha)


def test_days_of_very_different_size_do_not_change_that() -> None:
    generator, gates = np.random.default_rng(3), make_gates(rule="superiority", resample="day")

    def window() -> bool:
        day = np.repeat(np.arange(10), generator.integers(4, 40, 10))
        return compared(gates, generator.normal(0, 0.05, 10)[day] + skewed(generator, len(day)), day).passed

    assert np.mean([window() for _ in range(WINDOWS)]) <= allowed(gates.alpha)


def test_resampling_rows_promotes_far_too_often_where_the_rows_of_a_day_go_together() -> None:
    generator, gates = np.random.default_rng(4), make_gates(rule="superiority")
    promoted = [compared(gates, by_day(generator, 7, 25)[0]).passed for _ in range(WINDOWS // 3)]
    assert np.mean(promoted) > 3 * gates.alpha


@pytest.mark.parametrize("resample", ["row", "day"])
def test_a_model_that_is_worse_by_the_margin_passes_at_most_alpha_of_the_time(resample: str) -> None:
    generator = np.random.default_rng(5)
    gates = make_gates(rule="non_inferiority", non_inferiority_margin=0.01, resample=resample)

    def window() -> bool:
        if resample == "row":
            return compared(gates, skewed(generator, ROWS) + 0.01).passed
        differences, day = by_day(generator, 7, 25)
        return compared(gates, differences + 0.01, day).passed

    assert gates.alpha / 4 < np.mean([window() for _ in range(WINDOWS)]) <= allowed(gates.alpha)


def test_a_root_mean_square_is_judged_as_soundly_as_a_mean() -> None:
    generator, gates = np.random.default_rng(6), make_gates(metric="rmse", rule="superiority")

    def window() -> bool:
        first, second = generator.normal(0, 10, (2, ROWS)) ** 2
        return compare_losses(gates, challenger=first, champion=second).passed

    assert np.mean([window() for _ in range(WINDOWS)]) <= allowed(gates.alpha)


def test_the_same_losses_give_the_same_figures() -> None:
    differences = skewed(np.random.default_rng(7), 5000)
    assert compared(make_gates(), differences) == compared(make_gates(), differences)
