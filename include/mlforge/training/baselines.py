"""What a model must be better than: a constant, a linear model of the same columns, the value of last time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlforge.scoring import Feature, Matrix, Vector
from mlforge.spec.task import Task
from mlforge.training.preparation import prepared_columns

_ITERATIONS = 200


@dataclass(frozen=True)
class Known:
    """What a baseline knows, and what it is asked.

    Attributes:
        features: What the columns of the matrices are.
        matrix: Encoded rows with known labels, shape (n_rows, n_features).
        labels: Their labels, shape (n_rows,).
        asked: Encoded rows, shape (n_asked, n_features).
        last_values: The column that `training.last_value` names, of the rows asked, NaN where it is missing, shape
            (n_asked,); None where it names none.
    """

    features: Sequence[Feature]
    matrix: Matrix
    labels: Vector
    asked: Matrix
    last_values: Vector | None = None


def baseline_scores(task: Task, known: Known) -> dict[str, Vector]:
    """Return what each baseline of a task predicts for the rows asked, shape (n_asked,) each.

    `base_rate` and `mean` say the mean of the known labels, `logistic_regression` and `linear_regression` are fitted
    on them, and `last_value` repeats the newest known value, or says the mean where there is none.
    """
    mean = np.full(len(known.asked), known.labels.mean())
    if task == "classification":
        return {"base_rate": mean, "logistic_regression": _logistic_regression(known)}
    scores = {"mean": mean, "linear_regression": _linear_regression(known)}
    if known.last_values is not None:
        scores["last_value"] = np.where(np.isfinite(known.last_values), known.last_values, mean)
    return scores


def _logistic_regression(known: Known) -> Vector:
    from sklearn.linear_model import LogisticRegression

    fitted = _fit(known, LogisticRegression(max_iter=_ITERATIONS))
    probabilities: Vector = fitted.predict_proba(known.asked)[:, 1].astype(np.float64)
    return probabilities


def _linear_regression(known: Known) -> Vector:
    from sklearn.linear_model import Ridge

    fitted = _fit(known, Ridge())
    values: Vector = fitted.predict(known.asked).astype(np.float64)
    return values


def _fit(known: Known, model: Any) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(prepared_columns(known.features), model)
    with warnings.catch_warnings():
        # Bounded iterations are what is wanted of a baseline, and a rare category of later days is unknown.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        return pipeline.fit(known.matrix, known.labels)
