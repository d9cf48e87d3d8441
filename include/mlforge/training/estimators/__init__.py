"""Fitting the estimators of each library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlforge.errors import TrainingError
from mlforge.scoring import Feature
from mlforge.spec import UseCase
from mlforge.training.estimators.base import FittedEstimator, Fitter, Labelled
from mlforge.training.estimators.boosted import XGBoostFitter

_FITTERS: tuple[Fitter, ...] = (XGBoostFitter(),)

__all__ = ["FittedEstimator", "Labelled", "fit_estimator"]


def fit_estimator(
    use_case: UseCase, estimator: Any, features: Sequence[Feature], *, train: Labelled, validation: Labelled
) -> FittedEstimator:
    """Return an estimator fitted on the train rows, stopped early on the validation rows.

    Raises:
        TrainingError: It is of no library that MLForge fits, or the library refuses parameters or rows.
    """
    fitter = next((each for each in _FITTERS if each.takes(estimator)), None)
    try:
        if fitter is None:
            raise TypeError(f"{type(estimator).__module__}.{type(estimator).__name__} is no estimator")
        return fitter.fit(use_case, estimator, features, train, validation)
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            "the model cannot be fitted",
            where=f"{use_case.name}, model.build_model",
            evidence=[" ".join(str(error).split())[:300]],
            hint="build_model returns an unfitted estimator for the task; correct it or training.parameters",
        ) from error
