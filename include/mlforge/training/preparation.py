"""Columns for estimators that take neither gaps nor categories: filled, scaled, one column per category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlforge.scoring import Feature

# A category that is rarer than that says nothing by itself.
_RARE = 20


def prepared_columns(features: Sequence[Feature], *, sparse: bool = True) -> Any:
    """Return an unfitted transformer of the encoded matrix.

    A number's gaps become the median of the fitted rows, with a column that says where they were; numbers are scaled to
    mean 0 and deviation 1. Categories become columns of 0 and 1; the rare ones, and those that fitting has not seen,
    share one.

    Args:
        features: What the columns of the matrix are.
        sparse: Whether the result may be a sparse matrix.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    places = {
        kind: [place for place, feature in enumerate(features) if feature.kind == kind]
        for kind in ("number", "category")
    }
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=_RARE, sparse_output=sparse)
    return ColumnTransformer(
        [("numbers", numbers, places["number"]), ("categories", categories, places["category"])],
        sparse_threshold=0.3 if sparse else 0,
    )
