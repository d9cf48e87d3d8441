"""scikit-learn's estimators, and those of a use case's own, as a skops archive: data and names of types, no code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlforge.errors import TerminalError
from mlforge.scoring.description import FormatName, Matrix, Vector
from mlforge.scoring.formats.base import Predictor
from mlforge.scoring.formats.histogram_trees import HistogramTrees
from mlforge.scoring.formats.linear_columns import LinearColumns
from mlforge.scoring.formats.prepared_model import PreparedModel
from mlforge.spec.module import MODULE_PREFIX
from mlforge.spec.task import Task

# Beyond what skops trusts by itself: the parts of estimators that MLForge makes. The trees' places are compared with
# their bounds when they are read, for scikit-learn follows them unchecked.
TRUSTED = (
    "mlforge.scoring.formats.prepared_model.PreparedModel",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # What a histogram's columns are checked by; skops looks at the function inside a partial too.
    "functools.partial",
    "numpy.dtype",
    "sklearn.utils.validation.check_array",
)
_SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class FittedSklearn:
    """Any fitted estimator: its probabilities, its decisions or its values.

    Attributes:
        estimator: Has `predict_proba` or `decision_function` for a classification, `predict` for a regression.
        n_features: Columns of the matrix that it reads.
        columns: Makes what the estimator reads of the matrix; None where it reads the matrix itself.
    """

    estimator: Any
    n_features: int
    columns: Any = None

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,).

        Raises:
            TerminalError: The estimator gives no scores for the task, or not one per row.
        """
        with warnings.catch_warnings():
            # A category that fitting has not seen is what it is.
            warnings.simplefilter("ignore", UserWarning)
            read = matrix if self.columns is None else self.columns.transform(matrix)
            scores = _SCORES[task](self.estimator, read)
        if scores.shape != (len(matrix),):
            raise TerminalError(
                f"{type(self.estimator).__name__} gave {scores.shape} for {len(matrix)} rows",
                hint="it gives one score per row, or one per row and class",
            )
        return scores

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return None: an estimator in general has none."""
        return None


def _log_odds(estimator: Any, read: Any) -> Vector:
    if hasattr(estimator, "predict_proba"):
        given = np.asarray(estimator.predict_proba(read), dtype=np.float64)
        positive = given[:, 1] if given.ndim == 2 and given.shape[1] == 2 else given
        clipped = np.clip(positive, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        odds: Vector = np.log(clipped) - np.log1p(-clipped)
        return odds
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(read), dtype=np.float64)
    raise TerminalError(
        f"{type(estimator).__name__} has neither predict_proba nor decision_function",
        hint="a classifier of a use case gives probabilities",
    )


def _values(estimator: Any, read: Any) -> Vector:
    return np.asarray(estimator.predict(read), dtype=np.float64)


_SCORES: dict[Task, Callable[[Any, Any], Vector]] = {"classification": _log_odds, "regression": _values}


def predictor_of(estimator: Any, n_features: int | None = None) -> Predictor:
    """Return what scores with a fitted estimator, by the shortest way that there is for its kind.

    Args:
        estimator: As it is stored.
        n_features: Columns of the matrix; none to ask the estimator.

    Raises:
        TerminalError: A tree of it points beyond its nodes or columns.
    """
    if isinstance(estimator, PreparedModel):
        linear = LinearColumns.of(estimator.columns, estimator.model)
        if linear is not None:
            return linear
        return FittedSklearn(estimator.model, int(estimator.columns.n_features_in_), estimator.columns)
    trees = HistogramTrees.of(estimator)
    if trees is not None:
        return trees
    return FittedSklearn(estimator, int(getattr(estimator, "n_features_in_", n_features or 0)))


class SklearnFormat:
    """`model.skops`, as MLflow's sklearn flavour writes it."""

    name: ClassVar[FormatName] = "sklearn"
    file: ClassVar[str] = "model.skops"

    def load(self, content: bytes, trusted_types: Sequence[str] = ()) -> Predictor:
        """Return the estimator; nothing is made of a type that is not trusted.

        Args:
            content: The archive.
            trusted_types: Types beyond skops's and MLForge's own, `package.module.Class`, or `model.Class` for a class
                of the use case's model.py, which is imported already.

        Raises:
            TerminalError: It cannot be read, or holds a type that is not trusted.
        """
        import skops.io

        try:
            found = skops.io.get_untrusted_types(data=content)
            strange = [name for name in found if name not in TRUSTED and spoken_name(name) not in trusted_types]
            if strange:
                raise untrusted(strange)
            return predictor_of(skops.io.loads(content, trusted=found))
        except TerminalError:
            raise
        except Exception as error:
            # skops names no common class for an archive that is none, is cut short or misses a type.
            raise TerminalError(
                f"{self.file} cannot be read",
                evidence=[" ".join(repr(error).split())[:200]],
                hint="download it again; a class of model.py must still be there under its name",
            ) from error


def spoken_name(name: str) -> str:
    """Return a type's name as `training.trusted_types` has it: classes of model.py are `model.Class`."""
    module, _, own = name.partition(".")
    return f"model.{own}" if module.startswith(MODULE_PREFIX) else name


def untrusted(names: Sequence[str]) -> TerminalError:
    """Return the error for a model that holds types that the use case does not trust."""
    spoken = [spoken_name(name) for name in names]
    nameless = any("<" in name for name in spoken)
    return TerminalError(
        f"the model holds {len(spoken)} types that are not trusted",
        evidence=spoken,
        hint="keep plain values and arrays on the estimator: a function made on the way cannot be read back"
        if nameless
        else f"if you know them, name them in use_case.yaml: training.trusted_types: [{', '.join(spoken)}]",
    )
