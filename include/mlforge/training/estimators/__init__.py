"""Fitting the estimators of each library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlforge.errors import TrainingError
from mlforge.scoring import Feature
from mlforge.spec import UseCase
from mlforge.training.estimators.base import Fit, FittedEstimator, Fitter, Labelled
from mlforge.training.estimators.boosted import XGBoostFitter
from mlforge.training.estimators.general import SklearnFitter
from mlforge.training.estimators.leafwise import LightGBMFitter

_FITTERS: tuple[Fitter, ...] = (XGBoostFitter(), LightGBMFitter(), SklearnFitter())

__all__ = ["Fit", "FittedEstimator", "Labelled", "fit_estimator", "try_estimator"]


def fit_estimator(
    use_case: UseCase, estimator: Any, features: Sequence[Feature], *, train: Labelled, validation: Labelled
) -> FittedEstimator:
    """Return an estimator fitted on the train rows, stopped early on the validation rows, with the file of its library.

    Raises:
        TrainingError: It is of no library that MLForge fits, or the library refuses parameters or rows.
        TerminalError: It holds a type that the use case does not trust.
    """
    fit = try_estimator(use_case, estimator, features, train=train, validation=validation)
    return _fitter(estimator).write(use_case, fit, features)


def try_estimator(
    use_case: UseCase, estimator: Any, features: Sequence[Feature], *, train: Labelled, validation: Labelled
) -> Fit:
    """Return an estimator fitted as by `fit_estimator`, but not written: it is only scored.

    Raises:
        TrainingError: It is of no library that MLForge fits, or the library refuses parameters or rows.
    """
    try:
        return _fitter(estimator).fit(use_case, estimator, features, train, validation)
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            "the model cannot be fitted",
            where=f"{use_case.name}, model.build_model",
            evidence=[" ".join(str(error).split())[:300]],
            hint="build_model returns an unfitted estimator for the task; correct it or training.parameters",
        ) from error


def _fitter(estimator: Any) -> Fitter:
    for fitter in _FITTERS:
        if fitter.takes(estimator):
            return fitter
    raise TypeError(f"{type(estimator).__module__}.{type(estimator).__name__} is no estimator")
