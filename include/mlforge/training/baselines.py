"""What a model must be better than: the base rate, and a logistic regression on the same columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlforge.scoring import Feature, Matrix, Vector

_ITERATIONS = 200
# A category that is rarer than that says nothing by itself.
_RARE = 20


def base_rate_probabilities(labels: Vector, rows: int) -> Vector:
    """Return the share of positives among known labels, for each of so many rows."""
    return np.full(rows, labels.mean())


def logistic_regression_probabilities(
    features: Sequence[Feature], known: Matrix, labels: Vector, asked: Matrix
) -> Vector:
    """Return P(positive) of a logistic regression for the rows asked, shape (n_asked,).

    Args:
        features: What the columns of the matrices are.
        known: Encoded rows with known labels, shape (n_rows, n_features).
        labels: 0.0 or 1.0, both present, shape (n_rows,).
        asked: Encoded rows, shape (n_asked, n_features).
    """
    from sklearn.exceptions import ConvergenceWarning

    pipeline = _pipeline(features)
    with warnings.catch_warnings():
        # Bounded iterations are what is wanted of a baseline, and a rare category of later days is unknown.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        pipeline.fit(known, labels)
        probabilities: Vector = pipeline.predict_proba(asked)[:, 1].astype(np.float64)
    return probabilities


def _pipeline(features: Sequence[Feature]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    places = {
        kind: [place for place, feature in enumerate(features) if feature.kind == kind]
        for kind in ("number", "category")
    }
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=_RARE)
    columns = ColumnTransformer(
        [("numbers", numbers, places["number"]), ("categories", categories, places["category"])]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=_ITERATIONS))
