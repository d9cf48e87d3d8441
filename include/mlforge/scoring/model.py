"""A model that scores rows: read from a folder as MLflow writes it, or just fitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from mlforge.errors import TerminalError
from mlforge.scoring.description import METADATA_KEY, Columns, Feature, FormatName, Matrix, ModelDescription, Vector
from mlforge.scoring.encoding import encode_columns
from mlforge.scoring.formats import FORMATS, Predictor
from mlforge.spec.task import Task


@dataclass(frozen=True)
class ScoringModel:
    """A model that scores rows, one at a time or many, with the same bits for the same row.

    Attributes:
        predictor: The fitted model; it scores in one thread.
        description: Columns, calibration and labels.
        content_hash: SHA-256 of the model's file and the description, hexadecimal.
    """

    predictor: Predictor
    description: ModelDescription
    content_hash: str

    @classmethod
    def load(cls, folder: Path, trusted_types: Sequence[str] = ()) -> ScoringModel:
        """Return the model in a folder that MLflow wrote.

        Args:
            folder: Holds `MLmodel` and the model's file.
            trusted_types: Types beyond the library's own that a scikit-learn model may hold.

        Raises:
            TerminalError: There is no such model, MLForge did not train it, or it holds a type that is not trusted.
        """
        description = _read_description(folder)
        content = _read(folder / FORMATS[description.format].file)
        # XGBoost never comes back from a file that was cut short: it must not get one.
        if description.model_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise TerminalError(
                f"{FORMATS[description.format].file} is not what was trained: its hash differs",
                where=str(folder),
                hint="download it again",
            )
        return cls.of(content, description, trusted_types)

    @classmethod
    def of(cls, content: bytes, description: ModelDescription, trusted_types: Sequence[str] = ()) -> ScoringModel:
        """Return the model of a file's content and its description.

        Raises:
            TerminalError: The content cannot be read, or is not what the description says.
        """
        predictor = FORMATS[description.format].load(content, trusted_types)
        if predictor.n_features != len(description.features):
            raise TerminalError(
                f"the model takes {predictor.n_features} columns, its description has {len(description.features)}"
            )
        return cls(predictor, description, model_hash(content, description))

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
        """Return the matrix that the model reads, shape (n_rows, n_features).

        Args:
            columns: Values by name, all of one length; more columns than the model takes are no matter.

        Raises:
            FeatureError: A column is missing, or holds what is no number.
        """
        return encode_columns(self.features, columns)

    def predict(self, matrix: Matrix) -> Vector:
        """Return calibrated P(positive), or a regression's values, for an encoded matrix, shape (n_rows,)."""
        return self.description.calibration.scores(raw_scores(self.predictor, matrix, self.description.task))

    def score(self, columns: Columns) -> Vector:
        """Return calibrated P(positive), or a regression's values, for columns of values, shape (n_rows,).

        Raises:
            FeatureError: A column is missing, or holds what is no number.
        """
        return self.predict(self.encode(columns))


def model_format(folder: Path) -> FormatName:
    """Return the format of the model in a folder that MLflow wrote.

    Raises:
        TerminalError: There is no such model, or MLForge did not train it.
    """
    return _read_description(folder).format


def _read_description(folder: Path) -> ModelDescription:
    try:
        document = yaml.safe_load(_read(folder / "MLmodel"))
        return ModelDescription.model_validate(document["metadata"][METADATA_KEY])
    except (yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise TerminalError(
            "the MLmodel file does not describe a model that MLForge trained",
            where=str(folder),
            evidence=[" ".join(str(error).split())[:200]],
            hint="train it with `mlforge stage train`",
        ) from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TerminalError(
            f"no model in {file.parent}: {error.strerror}", evidence=[error.filename], hint="download it again"
        ) from error


def raw_scores(predictor: Predictor, matrix: Matrix, task: Task) -> Vector:
    """Return a model's scores before calibration, shape (n_rows,)."""
    return predictor.raw_scores(matrix, task) if len(matrix) else np.empty(0, dtype=np.float64)


def model_hash(content: bytes, description: ModelDescription) -> str:
    """Return the SHA-256 of a model's file and its description, hexadecimal."""
    digest = hashlib.sha256(content)
    digest.update(json.dumps(description.model_dump(mode="json"), sort_keys=True).encode())
    return digest.hexdigest()
