"""How much each row counts in fitting: by its age, by a column, by its class."""

from __future__ import annotations

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples
from mlforge.scoring import Vector
from mlforge.spec import UseCase

_DAY = np.timedelta64(1, "D")


def fit_weights(use_case: UseCase, examples: Examples) -> Vector | None:
    """Return the weight of each row in fitting, shape (n_rows,), mean 1; None where all weigh the same.

    `training.half_life_days`, `weight_column` and `class_balance` are multiplied, in this order: balanced classes
    weigh the same whatever the age of their rows.

    Args:
        use_case: Says how rows are weighted.
        examples: The rows of one part; a row's age is counted from the newest of them.

    Raises:
        TrainingError: The column is missing, or a weight is no number above zero.
    """
    training = use_case.training
    weights = np.ones(len(examples))
    if training.half_life_days is not None:
        ages = (examples.times[-1] - examples.times) / _DAY
        weights *= 0.5 ** (ages / training.half_life_days)
    if training.weight_column is not None:
        weights *= _column(use_case, examples, training.weight_column)
    if training.class_balance == "balanced" and use_case.task == "classification":
        positive = examples.labels > 0
        weights[positive] /= weights[positive].sum()
        weights[~positive] /= weights[~positive].sum()
    if training.half_life_days is None and training.weight_column is None and training.class_balance == "none":
        return None
    weighted: Vector = weights / weights.mean()
    return weighted


def balance_shift(use_case: UseCase, labels: Vector) -> float:
    """Return by how much balanced classes have moved the log-odds of the positive class; 0.0 where they are not.

    Source: Elkan, The foundations of cost-sensitive learning, 2001.

    Args:
        use_case: Says whether classes are balanced.
        labels: 0.0 or 1.0 of the rows that the model is fitted on, both present, shape (n_rows,).
    """
    if use_case.training.class_balance == "none" or use_case.task != "classification":
        return 0.0
    rate = float(labels.mean())
    return float(np.log1p(-rate) - np.log(rate))


def _column(use_case: UseCase, examples: Examples, name: str) -> Vector:
    where = f"{use_case.name}, training.weight_column {name!r}"
    values = examples.columns([name])[name]
    if not isinstance(values, np.ndarray):
        raise TrainingError("weights are text", where=where, hint="name a column of numbers")
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        raise TrainingError(
            f"{int(wrong.sum())} of {len(values)} weights are no numbers above zero",
            where=where,
            evidence=values[wrong].tolist(),
            hint="give every row a weight in the spine's SQL; leave rows out that shall not count",
        )
    return values.astype(np.float64)
