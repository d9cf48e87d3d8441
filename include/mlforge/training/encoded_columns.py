"""All columns of a training set, encoded once: each fold takes its rows and its own categories from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import TrainingError
from mlforge.examples import Examples, column_values, is_text
from mlforge.scoring import Feature, Matrix
from mlforge.spec import UseCase
from mlforge.training.columns import gaps_tell, model_columns

Codes = NDArray[np.int32]


@dataclass(frozen=True)
class _Number:
    name: str
    values: NDArray[np.float32]
    gaps_tell: bool

    def describe(self, fitted: slice) -> Feature | None:
        values = self.values[fitted]
        known = values[~np.isnan(values)]
        distinct = 0 if len(known) == 0 else 1 if known.min() == known.max() else 2
        gaps = self.gaps_tell and len(known) < len(values)
        return Feature(name=self.name, kind="number") if distinct + gaps > 1 else None

    def encode(self, feature: Feature, rows: slice) -> NDArray[np.float32]:
        return self.values[rows]


@dataclass(frozen=True)
class _Category:
    """A column of text: place in the sorted categories of all rows, -1 where it is missing."""

    name: str
    codes: Codes
    categories: tuple[str, ...]
    gaps_tell: bool

    def describe(self, fitted: slice) -> Feature | None:
        codes = self.codes[fitted]
        seen = np.bincount(codes + 1, minlength=len(self.categories) + 1) > 0
        present = tuple(category for category, there in zip(self.categories, seen[1:], strict=True) if there)
        if len(present) + int(self.gaps_tell and seen[0]) < 2:
            return None
        return Feature(name=self.name, kind="category", categories=present)

    def encode(self, feature: Feature, rows: slice) -> NDArray[np.float32]:
        codes = feature.codes
        # The last place is that of -1, a missing value.
        own = np.array([codes.get(category, np.nan) for category in self.categories] + [np.nan], dtype=np.float32)
        return own[self.codes[rows]]


@dataclass(frozen=True)
class EncodedColumns:
    """The columns that a model may take, of all rows.

    Attributes:
        names: Their names, in the order of the matrix.
    """

    use_case: str
    columns: tuple[_Number | _Category, ...] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def fold(self, fitted: slice, others: Sequence[slice]) -> tuple[list[Feature], list[Matrix]]:
        """Return the columns that vary in the fitted rows, and the matrices of these and of other rows.

        The features and matrices are those that `describe_columns` and `encode_columns` give for the same rows.

        Raises:
            TrainingError: Every column is constant in the fitted rows.
        """
        described = [(column, column.describe(fitted)) for column in self.columns]
        kept = [(column, feature) for column, feature in described if feature is not None]
        if not kept:
            raise TrainingError(
                "every column is constant in a fold", where=self.use_case, evidence=self.names, hint="check the data"
            )
        return [feature for _, feature in kept], [_matrix(kept, rows) for rows in [fitted, *others]]


def encode_once(use_case: UseCase, examples: Examples) -> EncodedColumns:
    """Return the columns that a model may take, encoded for all rows.

    Raises:
        TrainingError: A column is missing, or is neither text nor number.
    """
    names = model_columns(use_case, examples)
    missing = [name for name in names if name not in examples.table.column_names]
    if missing:
        raise TrainingError(
            "the training set lacks columns that the model takes", evidence=missing, hint="assemble it again"
        )
    return EncodedColumns(use_case.name, tuple(_encode(use_case, examples, name) for name in names))


def _encode(use_case: UseCase, examples: Examples, name: str) -> _Number | _Category:
    column = examples.table.column(name)
    if not is_text(column.type):
        values = np.array(column_values(column), dtype=np.float32)
        values[np.isinf(values)] = np.nan
        return _Number(name, values, gaps_tell(use_case, name))
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = column if not pa.types.is_dictionary(column.type) else column.cast(column.type.value_type)
    encoded = pc.dictionary_encode(plain.combine_chunks())
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    found = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=found.__getitem__)
    places = np.empty(len(found) + 1, dtype=np.int32)
    places[order] = np.arange(len(found), dtype=np.int32)
    places[-1] = -1
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return _Category(name, places[codes], tuple(found[place] for place in order), gaps_tell(use_case, name))


def _matrix(kept: Sequence[tuple[_Number | _Category, Feature]], rows: slice) -> Matrix:
    matrix = np.empty((rows.stop - rows.start, len(kept)), dtype=np.float32)
    for place, (column, feature) in enumerate(kept):
        matrix[:, place] = column.encode(feature, rows)
    return matrix
