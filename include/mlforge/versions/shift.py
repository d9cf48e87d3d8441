"""How the numbers of a column lie, gathered partition by partition in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_KEPT = 131_072


@dataclass(frozen=True)
class NumberSummary:
    """Figures of one column in one version.

    Attributes:
        nulls: Missing values.
        quantiles: Of 5, 25, 50, 75 and 95 %; None where there is no value.
    """

    rows: int
    nulls: int
    mean: float | None
    deviation: float | None
    quantiles: tuple[float, ...] | None


@dataclass
class Numbers:
    """Values of a column as they come: their moments exactly, and an evenly spaced sample for the quantiles.

    Up to 131,072 values the sample is all of them; beyond, every second, then every fourth, and so on.
    """

    rows: int = 0
    nulls: int = 0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    stride: int = 1
    _sample: list[NDArray[np.float64]] = field(default_factory=list)
    _kept: int = 0

    def add(self, column: NDArray[np.float64]) -> None:
        """Add a partition's values; NaN and infinity count as missing."""
        values = column[np.isfinite(column)]
        self.rows += len(column)
        self.nulls += len(column) - len(values)
        self._add_to_sample(values)
        self._add_to_moments(values)

    def _add_to_sample(self, values: NDArray[np.float64]) -> None:
        chosen = values[(-self.count) % self.stride :: self.stride]
        self._sample.append(chosen)
        self._kept += len(chosen)
        while self._kept > _KEPT:
            self._sample = [np.concatenate(self._sample)[::2]]
            self._kept = len(self._sample[0])
            self.stride *= 2

    def _add_to_moments(self, values: NDArray[np.float64]) -> None:
        """Source: Chan, Golub, LeVeque (1979), updating formulae for computing sample variances."""
        if not len(values):
            return
        total, mean = self.count + len(values), float(values.mean())
        difference = mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + difference**2 * self.count * len(values) / total
        self.mean += difference * len(values) / total
        self.count = total

    def summary(self) -> NumberSummary:
        """Return the figures."""
        if not self.count:
            return NumberSummary(self.rows, self.nulls, None, None, None)
        found = np.quantile(np.concatenate(self._sample), QUANTILES)
        deviation = float(np.sqrt(self.squares / self.count))
        return NumberSummary(self.rows, self.nulls, self.mean, deviation, tuple(float(value) for value in found))


def as_floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column of numbers as floats, NaN for missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values: NDArray[np.float64] = pc.cast(column, pa.float64(), safe=False).to_numpy()
    return values


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column's values are numbers."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))
