"""An estimator behind the columns that it can read: what a file holds of one that takes neither gaps nor categories."""

from __future__ import annotations

from typing import Any

from mlforge.scoring.description import Matrix


class PreparedModel:
    """A fitted transformer of the encoded matrix, and the fitted estimator that reads what it gives.

    scikit-learn's own pipeline takes only estimators that derive from its classes.

    Attributes:
        columns: The transformer.
        model: The estimator.
    """

    def __init__(self, columns: Any, model: Any) -> None:
        self.columns = columns
        self.model = model

    def predict(self, matrix: Matrix) -> Any:
        """Return what the estimator predicts for encoded rows, shape (n_rows,); MLflow's own serving calls it."""
        return self.model.predict(self.columns.transform(matrix))
