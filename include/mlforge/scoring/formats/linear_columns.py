"""A linear model of prepared columns, as one weight per value: fast for a row, and it explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlforge.scoring.description import Matrix, Vector
from mlforge.spec.task import Task

# Classes whose raw score is the intercept and the sum of coefficients times columns.
_LINEAR = frozenset({"LogisticRegression", "LinearRegression", "Ridge", "Lasso", "ElasticNet"})


@dataclass(frozen=True)
class _Number:
    """A number's part of the score: weight × value + offset; `gap` where it is missing; `size` for one deviation."""

    weight: float
    offset: float
    gap: float
    size: float

    def part(self, values: Vector) -> Vector:
        part: Vector = np.where(np.isnan(values), self.gap, values * self.weight + self.offset)
        return part


@dataclass(frozen=True)
class _Category:
    """A category's part of the score: one per code; the last one for what fitting has not seen."""

    table: NDArray[np.float64]

    @property
    def size(self) -> float:
        return float(np.std(self.table))

    def part(self, values: Vector) -> Vector:
        places = np.where(np.isnan(values), len(self.table) - 1, values).astype(np.intp)
        part: Vector = self.table[np.clip(places, 0, len(self.table) - 1)]
        return part


@dataclass(frozen=True)
class LinearColumns:
    """A linear model; its score is the sum of one part per column.

    Attributes:
        parts: One per column of the matrix.
        intercept: The score's base value.
    """

    parts: Sequence[_Number | _Category]
    intercept: float

    @classmethod
    def of(cls, columns: Any, model: Any) -> Self | None:
        """Return the linear model behind prepared columns, None if it is another one.

        Args:
            columns: Fitted by `mlforge.training.preparation.prepared_columns`.
            model: Fitted on what they give.
        """
        if type(model).__name__ not in _LINEAR or not type(model).__module__.startswith("sklearn.linear_model"):
            return None
        weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        if weights.shape[0] != 1:
            return None
        parts: dict[int, _Number | _Category] = {}
        used = 0
        for name, transformer, places in columns.transformers_:
            if not len(places) or transformer == "drop":
                continue
            described, width = _DESCRIBE[name](transformer, weights[0][used:])
            parts.update(zip(places, described, strict=True))
            used += width
        intercept = float(np.ravel(model.intercept_)[0])
        return cls([parts[place] for place in range(len(parts))], intercept)

    @property
    def n_features(self) -> int:
        """Columns of the matrix that it reads."""
        return len(self.parts)

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,): log-odds, or a regression's values."""
        scores = np.full(len(matrix), self.intercept)
        for place, part in enumerate(self.parts):
            scores += part.part(matrix[:, place].astype(np.float64))
        return scores

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return each column's part of the score, and the intercept."""
        parts = [part.part(matrix[:, place].astype(np.float64)) for place, part in enumerate(self.parts)]
        return np.column_stack([*parts, np.full(len(matrix), self.intercept)]).astype(np.float32)

    @property
    def sizes(self) -> list[float]:
        """How much each column can move the score: a deviation of a number, or from one category to another."""
        return [part.size for part in self.parts]


def _numbers(pipeline: Any, weights: Vector) -> tuple[list[_Number | _Category], int]:
    imputer, scaler = pipeline[0], pipeline[1]
    medians, means, scales = imputer.statistics_, scaler.mean_, scaler.scale_
    count, gaps = len(medians), {}
    for column, place in enumerate(imputer.indicator_.features_ if imputer.indicator_ is not None else ()):
        own = count + column
        gaps[int(place)] = (
            weights[own] * (0 - means[own]) / scales[own],
            weights[own] * (1 - means[own]) / scales[own],
        )
    parts: list[_Number | _Category] = []
    for place in range(count):
        weight = weights[place] / scales[place]
        offset = -weight * means[place]
        known, missing = gaps.get(place, (0.0, 0.0))
        gap = weight * medians[place] + offset + missing
        parts.append(_Number(float(weight), float(offset + known), float(gap), abs(float(weights[place]))))
    return parts, count + len(gaps)


def _categories(encoder: Any, weights: Vector) -> tuple[list[_Number | _Category], int]:
    parts: list[_Number | _Category] = []
    used = 0
    for place, known in enumerate(encoder.categories_):
        # One column per frequent category and one for all that are rare; without rare ones the unseen are all zeros.
        rare = encoder.infrequent_categories_[place]
        rare = np.empty(0) if rare is None else rare
        frequent = [code for code in known if not _within(code, rare)]
        others = weights[used + len(frequent)] if len(rare) else 0.0
        codes = [int(code) for code in known if not np.isnan(code)]
        table = np.full(max([*codes, -1]) + 2, others, dtype=np.float64)
        for column, code in enumerate(frequent):
            table[-1 if np.isnan(code) else int(code)] = weights[used + column]
        parts.append(_Category(table))
        used += len(frequent) + int(len(rare) > 0)
    return parts, used


def _within(code: float, codes: NDArray[Any]) -> bool:
    return bool(np.isnan(codes).any()) if np.isnan(code) else bool((codes == code).any())


_DESCRIBE = {"numbers": _numbers, "categories": _categories}
