"""What stands in `metadata.mlforge` of a model's `MLmodel` file: columns, calibration, labels, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class IsotonicCalibration(_Part):
    """Probability = the knots' line at the margin, level before the first knot and after the last.

    Source: Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability estimates, 2002.

    Attributes:
        margins: Raw scores of the knots, rising.
        probabilities: P(positive) at each knot, never falling.
    """

    method: Literal["isotonic"] = "isotonic"
    margins: tuple[float, ...] = Field(min_length=2)
    probabilities: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.margins) != len(self.probabilities):
            raise ValueError("an isotonic calibration has one probability per margin")
        if (np.diff(self.margins) <= 0).any() or (np.diff(self.probabilities) < 0).any():
            raise ValueError("an isotonic calibration rises with its margins")
        return self

    def scores(self, margins: Vector) -> Vector:
        """Return P(positive) for the raw scores, shape (n_rows,)."""
        probabilities: Vector = np.interp(margins, self.margins, self.probabilities)
        return probabilities


class LogOddsCalibration(_Part):
    """Probability = 1 / (1 + exp(-(margin + offset))): the model is taken at its word.

    Attributes:
        offset: Takes back what balanced classes have moved in fitting; 0 where they were not.
    """

    method: Literal["log_odds"] = "log_odds"
    offset: float = 0.0

    def scores(self, margins: Vector) -> Vector:
        """Return P(positive) for the raw scores, shape (n_rows,)."""
        probabilities: Vector = 1.0 / (1.0 + np.exp(-(margins + self.offset)))
        return probabilities


class NoCalibration(_Part):
    """Value = what the model says."""

    method: Literal["none"] = "none"

    def scores(self, values: Vector) -> Vector:
        """Return the values, shape (n_rows,)."""
        return values


Calibration = PlattCalibration | IsotonicCalibration | LogOddsCalibration | NoCalibration


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
    calibration: Calibration = Field(discriminator="method")
    labels: tuple[str, ...] = Field(default=(), max_length=2)
    model_sha256: str | None = None
    task: Task = "classification"
    format: FormatName = "xgboost"
