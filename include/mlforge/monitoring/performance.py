"""Performance: how well the answered predictions agree with what happened."""

from __future__ import annotations

from mlforge import db
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.spec.task import Task

# What the mean outcome is called.
_MEAN: dict[Task, str] = {"classification": "positive_rate", "regression": "mean_outcome"}

_QUERY = """
SELECT prediction.score, outcome.label
FROM ledger.predictions AS prediction
LEFT JOIN LATERAL (
    SELECT label FROM ledger.current_outcomes AS current_outcome
    WHERE current_outcome.receipt_id = prediction.receipt_id LIMIT 1
) AS outcome ON true
WHERE prediction.use_case = %(use_case)s AND prediction.moment >= %(start)s AND prediction.moment < %(end)s
"""


def measure_performance(use_case: UseCase, days: PartitionRange) -> dict[str, float]:
    """Return the scores of the receipts whose moment lies in some days.

    Always there: `predictions`. With predictions also `outcomes` and `coverage`, the share whose outcome is known.
    With outcomes also the scores that a candidate gets at training, as far as these outcomes allow them: `log_loss`,
    `brier`, `ece`, and with both classes among them `auc`; for a regression `mae`, `rmse`, `bias`, `relative_bias` and
    `r2`. Besides, the mean outcome: `positive_rate`, or `mean_outcome` for a regression.

    Args:
        use_case: Whose receipts.
        days: Days of the predictions' moments, UTC.
    """
    with db.connect() as connection:
        bound = {"use_case": use_case.name, "start": days.start, "end": days.end}
        rows = connection.execute(_QUERY, bound).fetchall()
    result = {"predictions": float(len(rows))}
    if not rows:
        return result
    pairs = [(score, label) for score, label in rows if label is not None]
    result |= {"outcomes": float(len(pairs)), "coverage": len(pairs) / len(rows)}
    if pairs:
        result |= _scores(use_case, [score for score, _ in pairs], [label for _, label in pairs])
    return result


def _scores(use_case: UseCase, scores: list[float], labels: list[float]) -> dict[str, float]:
    import numpy as np

    from mlforge.metrics import measure_use_case

    measured = measure_use_case(use_case, np.array(labels), np.array(scores))
    measured[_MEAN[use_case.task]] = sum(labels) / len(labels)
    return {name: round(value, 6) for name, value in measured.items()}
