"""What a format gives: a file of a fitted model becomes something that scores a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from mlforge.scoring.description import FormatName, Matrix, Vector
from mlforge.spec.task import Task


class Predictor(Protocol):
    """A fitted model as its file holds it. It scores in one thread, with the same bits for the same row."""

    @property
    def n_features(self) -> int:
        """Columns of the matrix that it reads."""
        ...

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,): log-odds, or a regression's values.

        Args:
            matrix: Shape (n_rows, n_features), at least one row.
            task: What is predicted.
        """
        ...

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return SHAP values and the base value, shape (n_rows, n_features + 1); None where the format has none."""
        ...


class ModelFormat(Protocol):
    """How a library writes its fitted models; never a pickle."""

    name: ClassVar[FormatName]
    file: ClassVar[str]

    def load(self, content: bytes, trusted_types: Sequence[str] = ()) -> Predictor:
        """Return the model in a file's content.

        Args:
            content: Whose hash was compared with that of training already.
            trusted_types: Types beyond the library's own that may be made from it, such as `package.module.Class`.

        Raises:
            TerminalError: It cannot be read, or holds a type that is not trusted.
        """
        ...
