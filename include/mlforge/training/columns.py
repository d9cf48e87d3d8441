"""Which columns the model takes, and what the training rows say about them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Values, is_text
from mlforge.scoring import Feature
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa


def input_columns(use_case: UseCase, available: Sequence[str]) -> list[str]:
    """Return the model's input columns: request fields, derived fields, then features by view, less the dropped ones.

    Args:
        use_case: Says which fields are features.
        available: Columns of the training set.

    Raises:
        TrainingError: `training.drop_features` names a column that there is not.
    """
    request = [name for name, field in use_case.prediction.request.items() if field.feature]
    views = [
        name
        for name in available
        if "__" in name and name.split("__", 1)[0] in {*use_case.features, *use_case.on_demand}
    ]
    names = [*request, *use_case.prediction.derived, *views]
    for dropped in use_case.training.drop_features:
        if dropped not in names:
            near = difflib.get_close_matches(dropped, names, n=1)
            raise TrainingError(
                f"training.drop_features names {dropped!r}, which is no feature",
                where=use_case.name,
                hint=f"did you mean {near[0]!r}?" if near else "remove it",
            )
    return [name for name in names if name not in use_case.training.drop_features]


def model_columns(use_case: UseCase, examples: Examples, chosen: Sequence[str] = ()) -> list[str]:
    """Return the input columns that a model may take, in the order of the matrix.

    Args:
        use_case: Says which columns are features.
        examples: Has the columns.
        chosen: No other columns than these; none for all.

    Raises:
        TrainingError: A column is missing, or is neither text nor number.
    """
    available = input_columns(use_case, examples.table.column_names)
    gone = [name for name in chosen if name not in available]
    if gone:
        raise TrainingError(
            f"{len(gone)} of the {len(chosen)} columns that were chosen for the model are gone",
            where=use_case.name,
            evidence=gone,
            hint="search anew, or bring the feature back",
        )
    names = [name for name in available if not chosen or name in chosen]
    schema = examples.table.schema
    odd = [f"{name}: {schema.field(name).type}" for name in names if name in schema.names and not _usable(schema, name)]
    if odd:
        raise TrainingError(
            "features must be text, numbers or booleans",
            where=use_case.name,
            evidence=odd,
            hint="say `feature: false`, or drop them by training.drop_features",
        )
    return names


def describe_columns(use_case: UseCase, train: Examples, chosen: Sequence[str] = ()) -> tuple[list[Feature], list[str]]:
    """Return the features that the model takes, and the columns left out because they are constant.

    Categories are those of the training rows only: what comes up later is unknown to the model, as it will be live.

    Args:
        use_case: Says which columns are features.
        train: The training rows.
        chosen: No other columns than these; none for all.

    Raises:
        TrainingError: A column is missing, is neither text nor number, or every column is constant.
    """
    features, constant = [], []
    for name, values in train.columns(model_columns(use_case, train, chosen)).items():
        feature = _describe(name, values, gaps_tell=gaps_tell(use_case, name))
        if feature is None:
            constant.append(name)
        else:
            features.append(feature)
    if not features:
        raise TrainingError("every column is constant", where=use_case.name, evidence=constant, hint="check the data")
    return features, constant


def gaps_tell(use_case: UseCase, name: str) -> bool:
    """Return whether a column's gaps say something: one that training itself has made tells nothing."""
    return name.split("__", 1)[0] not in use_case.training.absent_views


def _usable(schema: pa.Schema, name: str) -> bool:
    import pyarrow as pa

    kind = schema.field(name).type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(numeric or pa.types.is_boolean(kind) or pa.types.is_null(kind) or is_text(kind))


def _describe(name: str, values: Values, *, gaps_tell: bool) -> Feature | None:
    """Return the feature, None when all its values are the same; a missing value counts if gaps tell."""
    if isinstance(values, np.ndarray):
        finite = values[np.isfinite(values)]
        distinct = min(2, len(np.unique(finite))) + int(gaps_tell and len(finite) < len(values))
        return Feature(name=name, kind="number") if distinct > 1 else None
    categories = sorted({value for value in values if value is not None})
    if len(categories) + int(gaps_tell and None in values) < 2:
        return None
    return Feature(name=name, kind="category", categories=tuple(categories))
