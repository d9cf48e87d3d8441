"""From raw scores to probabilities that hold: fitted on the validation days, kept as plain numbers."""

from __future__ import annotations

import numpy as np

from mlforge.metrics import log_losses
from mlforge.scoring import Calibration, IsotonicCalibration, PlattCalibration, Vector


def fit_calibration(margins: Vector, labels: Vector) -> Calibration:
    """Return the calibration that does better on the later half of the rows when fitted on the earlier half.

    The winner is fitted again on all rows. Where a half has one class only there is nothing to compare: Platt.

    Args:
        margins: Raw scores of the validation days, oldest first, shape (n_rows,).
        labels: 0.0 or 1.0, both present, shape (n_rows,).
    """
    half = len(labels) // 2
    if not (_both_classes(labels[:half]) and _both_classes(labels[half:])):
        return fit_platt(margins, labels) or fit_isotonic(margins, labels)
    platt = fit_platt(margins[:half], labels[:half])
    isotonic = fit_isotonic(margins[:half], labels[:half])
    if platt is None or _loss(isotonic, margins[half:], labels[half:]) < _loss(platt, margins[half:], labels[half:]):
        return fit_isotonic(margins, labels)
    return fit_platt(margins, labels) or fit_isotonic(margins, labels)


def fit_platt(margins: Vector, labels: Vector) -> PlattCalibration | None:
    """Return Platt's sigmoid, None where it would turn the order of the scores around."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, max_iter=200).fit(margins.reshape(-1, 1), labels)
    slope = float(fitted.coef_[0, 0])
    return PlattCalibration(slope=slope, intercept=float(fitted.intercept_[0])) if slope > 0 else None


def fit_isotonic(margins: Vector, labels: Vector) -> IsotonicCalibration:
    """Return the isotonic curve, kept off 0 and 1 by as much as the number of rows allows to say."""
    from sklearn.isotonic import IsotonicRegression

    edge = 1.0 / (len(labels) + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(margins, labels)
    return IsotonicCalibration(
        margins=tuple(fitted.X_thresholds_.tolist()), values=tuple(fitted.y_thresholds_.tolist())
    )


def _both_classes(labels: Vector) -> bool:
    return len(np.unique(labels)) > 1


def _loss(calibration: Calibration, margins: Vector, labels: Vector) -> float:
    return float(log_losses(labels, calibration.probabilities(margins)).mean())
