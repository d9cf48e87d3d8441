"""Fitting scikit-learn's estimators, and those of a use case's own."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from mlforge.errors import TrainingError
from mlforge.scoring import Feature, FormatName
from mlforge.scoring.formats.histogram_trees import HistogramTrees
from mlforge.scoring.formats.linear_columns import LinearColumns
from mlforge.scoring.formats.prepared_model import PreparedModel
from mlforge.scoring.formats.skops_estimators import SklearnFormat, predictor_of
from mlforge.spec import UseCase
from mlforge.training.estimators.archive import archive
from mlforge.training.estimators.base import SEED, THREADS, Fit, FittedEstimator, Labelled
from mlforge.training.preparation import prepared_columns

# Histogram boosting keeps a category's codes in so many bins.
_MOST_CATEGORIES = 255
# Steps of a user's own pipeline that take the encoded matrix and leave no gaps in it, or choose its columns by place.
_FILLS = frozenset({"SimpleImputer", "KNNImputer", "IterativeImputer", "ColumnTransformer"})


class SklearnFitter:
    """Fits what has `fit`, and `predict_proba`, `decision_function` or `predict`.

    Histogram boosting takes gaps and categories, and is stopped early. An estimator that says that it allows NaN
    (scikit-learn's tag `allow_nan`) gets the encoded matrix: numbers with gaps, categories as codes. Every other one
    gets prepared columns, see `mlforge.training.preparation`.
    """

    name: ClassVar[FormatName] = "sklearn"

    def takes(self, estimator: Any) -> bool:
        """Return whether it can be fitted and asked."""
        return callable(getattr(estimator, "fit", None)) and not isinstance(estimator, type)

    def fit(
        self, use_case: UseCase, estimator: Any, features: Sequence[Feature], train: Labelled, validation: Labelled
    ) -> Fit:
        """Return the fitted estimator; boosting up to the round with the best validation loss."""
        _settle(estimator)
        with _one_thread():
            if type(estimator).__name__.startswith("HistGradientBoosting"):
                return _fit_histogram(use_case, estimator, features, train, validation)
            weights = _weights(use_case, estimator, train)
            if _allows_gaps(estimator):
                estimator.fit(train.matrix, train.labels, **weights)
                return Fit(estimator, predictor_of(estimator, len(features)))
            columns = prepared_columns(features, sparse=_takes_sparse(estimator))
            estimator.fit(columns.fit_transform(train.matrix), train.labels, **weights)
            prepared = PreparedModel(columns, estimator)
            return Fit(prepared, predictor_of(prepared))

    def write(self, use_case: UseCase, fit: Fit, features: Sequence[Feature]) -> FittedEstimator:
        """Return the estimator as a skops archive.

        Raises:
            TrainingError: It holds what skops cannot write.
            TerminalError: It holds a type that the use case does not trust.
        """
        try:
            content = archive(fit.estimator)
        except Exception as error:
            # skops names no common class for what it cannot write.
            raise TrainingError(
                f"{type(fit.estimator).__name__} cannot be stored without pickle",
                where=f"{use_case.name}, model.build_model",
                evidence=[" ".join(repr(error).split())[:200]],
                hint="keep plain values and arrays on it: no functions made on the way, no open files, no clients",
            ) from error
        SklearnFormat().load(content, use_case.training.trusted_types)
        return FittedEstimator(
            format="sklearn",
            content=content,
            estimator=fit.estimator,
            importance=_importance(fit, features),
            rounds=fit.rounds,
            curve=fit.curve,
        )


def _fit_histogram(
    use_case: UseCase, estimator: Any, features: Sequence[Feature], train: Labelled, validation: Labelled
) -> Fit:
    few = [f.kind == "category" and len(f.categories) <= _MOST_CATEGORIES for f in features]
    estimator.set_params(
        early_stopping=True,
        scoring="loss",
        n_iter_no_change=use_case.training.early_stopping_rounds,
        # More categories than bins: their codes are taken as numbers.
        categorical_features=np.flatnonzero(few).tolist() or None,
    )
    estimator.fit(
        train.matrix,
        train.labels,
        sample_weight=train.weights,
        X_val=validation.matrix,
        y_val=validation.labels,
        sample_weight_val=validation.weights,
    )
    # scikit-learn keeps the trees that came after the best round; the first score is that of no trees.
    curve = -np.asarray(estimator.validation_score_)
    rounds = max(1, int(curve.argmin()))
    estimator._predictors = estimator._predictors[:rounds]
    return Fit(estimator, predictor_of(estimator), rounds=rounds, curve=tuple(curve[1:].tolist()))


def _settle(estimator: Any) -> None:
    """Give an estimator, and those within it, one thread and a seed where it has none."""
    if not hasattr(estimator, "get_params"):
        return
    changes: dict[str, Any] = {}
    for name, value in estimator.get_params(deep=True).items():
        own = name.rpartition("__")[2]
        if own == "n_jobs" and value not in (None, THREADS):
            changes[name] = THREADS
        if own == "random_state" and value is None:
            changes[name] = SEED
    if changes:
        estimator.set_params(**changes)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Fit in one thread: the order of sums, and so the last bits, depend on how many there are."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=THREADS), warnings.catch_warnings():
        # A family's rounds and steps are bounded on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _weights(use_case: UseCase, estimator: Any, train: Labelled) -> Mapping[str, Any]:
    if train.weights is None:
        return {}
    if "sample_weight" not in inspect.signature(estimator.fit).parameters:
        raise TrainingError(
            f"{type(estimator).__name__} takes no weights",
            where=f"{use_case.name}, training.class_balance, half_life_days and weight_column",
            hint="give its fit an argument `sample_weight`, or weigh no rows",
        )
    return {"sample_weight": train.weights}


def _tags(estimator: Any) -> Any:
    from sklearn.utils import get_tags

    return get_tags(estimator) if hasattr(estimator, "__sklearn_tags__") else None


def _allows_gaps(estimator: Any) -> bool:
    """Return whether an estimator reads the encoded matrix; a pipeline does if its steps let gaps through or fill them.

    A pipeline says what its first step says, but a scaler lets gaps through to a model that refuses them.
    """
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline):
        tags = _tags(estimator)
        return tags is not None and bool(tags.input_tags.allow_nan)
    for _, step in estimator.steps:
        if type(step).__name__ in _FILLS:
            return True
        if not _allows_gaps(step):
            return False
    return True


def _takes_sparse(estimator: Any) -> bool:
    tags = _tags(estimator)
    return tags is not None and bool(tags.input_tags.sparse)


def _importance(fit: Fit, features: Sequence[Feature]) -> dict[str, float]:
    """Return what trees earned, by the estimator's own account; of a linear model, the size of a column's weights."""
    if isinstance(fit.predictor, LinearColumns):
        found: Sequence[float] = fit.predictor.sizes
    elif isinstance(fit.predictor, HistogramTrees):
        found = fit.predictor.gains
    else:
        found = getattr(fit.estimator, "feature_importances_", ())
    return {feature.name: float(value) for feature, value in zip(features, found, strict=False) if value > 0}
