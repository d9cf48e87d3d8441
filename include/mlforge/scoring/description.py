"""What stands in `metadata.mlforge` of a model's `MLmodel` file: columns, calibration, labels, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mlforge.spec.task import Task

Values = Sequence[Any] | NDArray[Any]
Columns = Mapping[str, Values]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
FormatName = Literal["xgboost", "lightgbm", "sklearn"]

METADATA_KEY = "mlforge"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Feature(_Part):
    """A column that the model takes.

    Attributes:
        categories: Values of a category; its code is its place. Empty for a number.
    """

    name: str
    kind: Literal["number", "category"]
    categories: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, float]:
        """Category → its code."""
        return {category: float(code) for code, category in enumerate(self.categories)}


class PlattCalibration(_Part):
    """Probability = 1 / (1 + exp(-(slope * margin + intercept))).

    Source: Platt, Probabilistic outputs for support vector machines, 1999.
    """

    method: Literal["platt"] = "platt"
    slope: float
    intercept: float

    def scores(self, margins: Vector) -> Vector:
        """Return P(positive) for the raw scores, shape (n_rows,)."""
        probabilities: Vector = 1.0 / (1.0 + np.exp(-(self.slope * margins + self.intercept)))
        return probabilities


class NoCalibration(_Part):
    """Value = what the trees say."""

    method: Literal["none"] = "none"

    def scores(self, values: Vector) -> Vector:
        """Return the values, shape (n_rows,)."""
        return values


class ModelDescription(_Part):
    """All that scoring needs besides the fitted model itself.

    Attributes:
        features: The columns in the order of the matrix.
        calibration: From the raw score to a probability, or to a regression's value.
        labels: Name of the negative and of the positive class; none for a regression.
        model_sha256: Hash of the file with the fitted model; training always notes it.
        task: What is predicted.
        format: In which library's own format that file is written.
    """

    features: tuple[Feature, ...] = Field(min_length=1)
    calibration: PlattCalibration | NoCalibration = Field(discriminator="method")
    labels: tuple[str, ...] = Field(default=(), max_length=2)
    model_sha256: str | None = None
    task: Task = "classification"
    format: FormatName = "xgboost"
