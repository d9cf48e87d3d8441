"""Scoring with a trained model: the same code in training, at the gate, behind the gateway and in monitoring.

A model is a folder as MLflow's xgboost flavour writes it. What MLflow does not know (names, kinds and categories of the
columns, the calibration, the labels) lies in `metadata.mlforge` of its `MLmodel` file. Neither MLflow nor pandas is
needed to read it, and nothing in it is a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from mlforge.errors import FeatureError, TerminalError
from mlforge.spec.task import Task

if TYPE_CHECKING:
    from xgboost import Booster

Values = Sequence[Any] | NDArray[Any]
Columns = Mapping[str, Values]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]

METADATA_KEY = "mlforge"
MODEL_FILE = "model.ubj"
_PLAIN = frozenset({float, int, bool})


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
    """What stands in `metadata.mlforge`: all that scoring needs besides the trees.

    Attributes:
        features: The columns in the order of the matrix.
        calibration: From the raw score to a probability, or to a regression's value.
        labels: Name of the negative and of the positive class; none for a regression.
        trees_sha256: Hash of the file with the trees; training always notes it.
        task: What is predicted.
    """

    features: tuple[Feature, ...] = Field(min_length=1)
    calibration: PlattCalibration | NoCalibration
    labels: tuple[str, ...] = Field(default=(), max_length=2)
    trees_sha256: str | None = None
    task: Task = "classification"

    @model_serializer(mode="wrap")
    def _as_it_was(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A classification does not name its task: its models had hashes before there were others."""
        written: dict[str, Any] = handler(self)
        if self.task == "classification":
            written.pop("task", None)
        return written


@dataclass(frozen=True)
class ScoringModel:
    """A model that scores rows, one at a time or many, with the same bits for the same row.

    Attributes:
        booster: The trees; it scores in one thread.
        description: Columns, calibration and labels.
        content_hash: SHA-256 of the trees and the description, hexadecimal.
    """

    booster: Booster
    description: ModelDescription
    content_hash: str

    @classmethod
    def load(cls, folder: Path) -> ScoringModel:
        """Return the model in a folder that MLflow's xgboost flavour wrote.

        Raises:
            TerminalError: There is no such model, or it was not trained by MLForge.
        """
        from xgboost import Booster
        from xgboost.core import XGBoostError

        try:
            document = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
            description = ModelDescription.model_validate(document["metadata"][METADATA_KEY])
            trees = (folder / MODEL_FILE).read_bytes()
        except OSError as error:
            raise TerminalError(
                f"no model in {folder}: {error.strerror}", evidence=[error.filename], hint="download it again"
            ) from error
        except (yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
            raise TerminalError(
                "the MLmodel file does not describe a model that MLForge trained",
                where=str(folder),
                evidence=[" ".join(str(error).split())[:200]],
                hint="train it with `mlforge stage train`",
            ) from error
        # XGBoost never comes back from a file that was cut short: it must not get one.
        if description.trees_sha256 not in (None, hashlib.sha256(trees).hexdigest()):
            raise TerminalError(
                f"{MODEL_FILE} is not what was trained: its hash differs", where=str(folder), hint="download it again"
            )
        try:
            booster = Booster({"nthread": 1}, model_file=bytearray(trees))
        except XGBoostError as error:
            raise TerminalError(f"{MODEL_FILE} cannot be read", where=str(folder), hint="download it again") from error
        if booster.num_features() != len(description.features):
            raise TerminalError(
                f"the trees take {booster.num_features()} columns, the description has {len(description.features)}",
                where=str(folder),
            )
        return cls(booster, description, model_hash(trees, description))

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns that the model takes, in the order of the matrix."""
        return self.description.features

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns, in order."""
        return [feature.name for feature in self.features]

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of the negative and of the positive class; none for a regression."""
        return self.description.labels

    def encode(self, columns: Columns) -> Matrix:
        """Return the matrix that the trees read, shape (n_rows, n_features).

        Args:
            columns: Values by name, all of one length; more columns than the model takes are no matter.

        Raises:
            FeatureError: A column is missing, or holds what is no number.
        """
        return encode_columns(self.features, columns)

    def predict(self, matrix: Matrix) -> Vector:
        """Return calibrated P(positive), or a regression's values, for an encoded matrix, shape (n_rows,)."""
        return self.description.calibration.scores(raw_scores(self.booster, matrix, self.description.task))

    def score(self, columns: Columns) -> Vector:
        """Return calibrated P(positive), or a regression's values, for columns of values, shape (n_rows,).

        Raises:
            FeatureError: A column is missing, or holds what is no number.
        """
        return self.predict(self.encode(columns))


# What a calibration starts from: log-odds, or the value itself, whatever link the objective has.
_RAW: Mapping[Task, str] = {"classification": "margin", "regression": "value"}


def raw_scores(booster: Booster, matrix: Matrix, task: Task) -> Vector:
    """Return a booster's scores before calibration, shape (n_rows,); its own thread count decides how many it uses."""
    if len(matrix) == 0:
        return np.empty(0, dtype=np.float64)
    raw = booster.inplace_predict(matrix, predict_type=_RAW[task], missing=np.nan)
    scores: Vector = np.asarray(raw, dtype=np.float64)
    return scores


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


def model_hash(trees: bytes, description: ModelDescription) -> str:
    """Return the SHA-256 of a model's trees and description, hexadecimal."""
    digest = hashlib.sha256(trees)
    digest.update(json.dumps(description.model_dump(mode="json"), sort_keys=True).encode())
    return digest.hexdigest()
