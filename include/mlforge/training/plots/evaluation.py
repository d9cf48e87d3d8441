"""All figures of a candidate's evaluation, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlforge.scoring import Matrix, ScoringModel, Vector
from mlforge.spec.task import Task
from mlforge.training.plots.contributions import draw_contributions
from mlforge.training.plots.daily import draw_daily_metric
from mlforge.training.plots.errors import draw_deciles, draw_residuals
from mlforge.training.plots.probabilities import draw_calibration, draw_precision_recall, draw_roc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_EXPLAINED = 2000


@dataclass(frozen=True)
class Scored:
    """Rows with what happened and what each model said.

    Attributes:
        model: The candidate.
        matrix: Encoded rows, shape (n_rows, n_features).
        labels: What happened, shape (n_rows,).
        times: Event timestamps, UTC, ascending, shape (n_rows,).
        scores: Model → what it said, shape (n_rows,); the candidate's under `candidate`.
        metric: Score that is drawn over time, such as `log_loss`.
    """

    model: ScoringModel
    matrix: Matrix
    labels: Vector
    times: NDArray[np.datetime64]
    scores: Mapping[str, Vector]
    metric: str


def draw_evaluation(task: Task, scored: Scored) -> dict[str, Figure]:
    """Return the figures of a task by name."""
    figures = {name: draw(scored.labels, scored.scores) for name, draw in _OF_SCORES[task].items()}
    figures["metric_over_time"] = draw_daily_metric(scored.metric, scored.times, scored.labels, scored.scores)
    chosen = _spread(len(scored.labels), _MOST_EXPLAINED)
    figures["feature_effects"] = draw_contributions(task, scored.model, scored.matrix[chosen], scored.labels[chosen])
    return figures


def _spread(rows: int, most: int) -> NDArray[np.int64]:
    """Return places spread evenly over all rows, the same ones every time."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


_Draw = Callable[[Vector, Mapping[str, Vector]], "Figure"]
_OF_SCORES: Mapping[Task, Mapping[str, _Draw]] = {
    "classification": {
        "calibration": draw_calibration,
        "roc": draw_roc,
        "precision_recall": draw_precision_recall,
    },
    "regression": {"deciles": draw_deciles, "residuals": draw_residuals},
}
