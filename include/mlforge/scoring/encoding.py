"""From columns of values to the matrix that a model reads: the same code for one row and for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlforge.errors import FeatureError
from mlforge.scoring.description import Columns, Feature, Matrix, Values

_PLAIN = frozenset({float, int, bool})


def encode_columns(features: Sequence[Feature], columns: Columns) -> Matrix:
    """Return columns of values as a matrix, shape (n_rows, n_features).

    A category becomes its code. None, an unknown category and what is not finite become NaN, which the trees treat as
    missing.

    Raises:
        FeatureError: A column is missing, or holds what is no number.
    """
    missing = [feature.name for feature in features if feature.name not in columns]
    if missing:
        raise FeatureError(
            f"{len(missing)} of the {len(features)} columns that the model takes are missing",
            evidence=missing,
            hint="give every column, None where a value is unknown",
        )
    n_rows = len(columns[features[0].name])
    row = _one_row(features, columns) if n_rows == 1 else None
    if row is not None:
        return row
    matrix = np.empty((n_rows, len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        values = columns[feature.name]
        if len(values) != n_rows:
            raise FeatureError(
                f"the column {feature.name!r} has {len(values)} values, {features[0].name!r} has {n_rows}",
                hint="give columns of one length",
            )
        matrix[:, place] = _codes(feature, values) if feature.kind == "category" else _numbers(feature, values)
    matrix[np.isinf(matrix)] = np.nan
    return matrix


def _one_row(features: Sequence[Feature], columns: Columns) -> Matrix | None:
    """Return the matrix of one row in one step, as serving wants it; None where a value needs a closer look."""
    cells: list[float] = []
    for feature in features:
        values = columns[feature.name]
        if len(values) != 1:
            return None
        value = values[0]
        if feature.kind == "category":
            cells.append(feature.codes.get(value, np.nan))
        elif type(value) in _PLAIN:
            cells.append(value)
        elif value is None:
            cells.append(np.nan)
        else:
            return None
    with np.errstate(over="ignore"):
        row: Matrix = np.array([cells], dtype=np.float32)
    row[np.isinf(row)] = np.nan
    return row


def _codes(feature: Feature, values: Values) -> list[float]:
    codes = feature.codes
    return [codes.get(value, np.nan) for value in values]


def _numbers(feature: Feature, values: Values) -> Matrix:
    try:
        with np.errstate(over="ignore"):
            numbers: Matrix = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise FeatureError(
            f"the column {feature.name!r} holds what is no number",
            evidence=[repr(value) for value in values if not _is_number(value)],
            hint="the model takes it as a number",
        ) from error
    return numbers


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, np.number))
