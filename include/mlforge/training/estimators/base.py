"""What fitting takes and gives, whatever the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from mlforge.scoring import Feature, FormatName, Matrix, Predictor, Vector
from mlforge.spec import UseCase

SEED = 20130101
# One thread: the sums of a histogram, and so the trees, depend on how many there are.
THREADS = 1


@dataclass(frozen=True)
class Labelled:
    """Encoded rows with their labels.

    Attributes:
        matrix: Shape (n_rows, n_features).
        labels: Shape (n_rows,).
        weights: Shape (n_rows,), mean 1; None for equal weights.
    """

    matrix: Matrix
    labels: Vector
    weights: Vector | None = None


@dataclass(frozen=True)
class Fit:
    """An estimator that was fitted and is not written yet: all that a fold of a cross-validation needs.

    Attributes:
        estimator: The library's own object.
        predictor: It scores with the bits that the stored model will score with.
        rounds: Boosting rounds that are kept; None where there are none.
        curve: Validation loss after each round, of all that were fitted.
    """

    estimator: Any = field(repr=False)
    predictor: Predictor = field(repr=False)
    rounds: int | None = None
    curve: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class FittedEstimator:
    """An estimator as its library writes it, and what fitting noticed.

    MLflow's flavours write XGBoost's and LightGBM's files byte by byte as `content` has them. A skops archive they date
    and number anew each time: whoever logs it writes `content` over the file, for its hash is part of the description.

    Attributes:
        format: Name of the format.
        content: The file.
        estimator: What the library's flavour of MLflow logs.
        importance: Feature → how much it earned in fitting, where the library says so.
        rounds: Boosting rounds that are kept; None where there are none.
        curve: Validation loss after each round, of all that were fitted.
    """

    format: FormatName
    content: bytes = field(repr=False)
    estimator: Any = field(repr=False)
    importance: dict[str, float] = field(repr=False)
    rounds: int | None = None
    curve: tuple[float, ...] = field(default=(), repr=False)


class Fitter(Protocol):
    """How estimators of one library are fitted: stopped early, in one thread, the same bytes from the same rows."""

    name: ClassVar[FormatName]

    def takes(self, estimator: Any) -> bool:
        """Return whether the estimator is one of the library's."""
        ...

    def fit(
        self, use_case: UseCase, estimator: Any, features: Sequence[Feature], train: Labelled, validation: Labelled
    ) -> Fit:
        """Return the estimator, fitted on the train rows and stopped early on the validation rows."""
        ...

    def write(self, use_case: UseCase, fit: Fit, features: Sequence[Feature]) -> FittedEstimator:
        """Return a fitted estimator with the file that its library writes, the same bytes every time."""
        ...
