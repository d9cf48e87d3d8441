from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from mlforge.errors import TrainingError
from mlforge.metrics import expected_calibration_error
from mlforge.scoring import IsotonicCalibration, LogOddsCalibration, ModelDescription, NoCalibration, PlattCalibration
from mlforge.training.calibration import Known, calibrate
from model_examples import small_flights

KINDS = {"sigmoid": PlattCalibration, "isotonic": IsotonicCalibration, "none": LogOddsCalibration}


def known(rows: int = 4000, *, slope: float = 2.0) -> Known:
    """Margins that promise too much."""
    generator = np.random.default_rng(0)
    margins = generator.normal(-1, 1.5, rows)
    labels = (generator.random(rows) < 1 / (1 + np.exp(-margins))).astype(float)
    return Known(margins * slope, labels, labels)


@pytest.mark.parametrize("method", KINDS)
def test_probabilities_rise_with_the_score_and_lie_within(method: str) -> None:
    found = calibrate(small_flights(calibration=method), known())
    assert isinstance(found, KINDS[method])
    scores = found.scores(np.linspace(-30, 30, 999))
    assert (np.diff(scores) >= 0).all()
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_promises_that_are_too_strong_are_mended(method: str) -> None:
    given = known()
    found = calibrate(small_flights(calibration=method), given)
    raw = 1 / (1 + np.exp(-given.margins))
    before = expected_calibration_error(given.labels, raw)
    assert expected_calibration_error(given.labels, found.scores(given.margins)) < before / 2


@pytest.mark.parametrize("method", KINDS)
def test_it_is_kept_as_plain_numbers(method: str) -> None:
    found = calibrate(small_flights(calibration=method), known(400))
    description = ModelDescription(
        features=({"name": "a", "kind": "number"},),
        calibration=found,
        labels=("no", "yes"),  # type: ignore[arg-type]
    )
    again = ModelDescription.model_validate_json(description.model_dump_json())
    margins = np.linspace(-5, 5, 50)
    assert again.calibration.scores(margins).tobytes() == found.scores(margins).tobytes()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_scores_that_order_nothing_are_refused(method: str) -> None:
    given = known()
    upside_down = Known(-given.margins, given.labels, given.labels)
    with pytest.raises(TrainingError, match="no better than chance"):
        calibrate(small_flights(calibration=method), upside_down)


def test_values_of_a_regression_stay_as_they_are() -> None:
    use_case = small_flights().model_copy(update={"task": "regression"})
    assert calibrate(use_case, known()) == NoCalibration()


@pytest.mark.parametrize(
    ("margins", "probabilities"), [((0, 1), (0.5, 0.4)), ((1, 0), (0.1, 0.2)), ((0, 1, 2), (0, 1))]
)
def test_a_curve_that_falls_is_none(margins: tuple[float, ...], probabilities: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        IsotonicCalibration(margins=margins, probabilities=probabilities)
