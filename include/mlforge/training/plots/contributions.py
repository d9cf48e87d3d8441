"""What each feature does to the score: SHAP values where the model has them, shuffled columns where it has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlforge.metrics import losses
from mlforge.scoring import Feature, Matrix, ScoringModel, Vector
from mlforge.spec.task import RULES, Task
from mlforge.training.plots.style import ACCENT, MUTED, TEXT, label_axes, new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

_SHOWN = 15
_BINS = 60
_SEED = 7


def draw_contributions(task: Task, model: ScoringModel, matrix: Matrix, labels: Vector) -> Figure:
    """Return the SHAP values of the strongest features, a dot per row, or their permutation importance as bars.

    Args:
        task: What is predicted.
        model: The candidate.
        matrix: Encoded rows, shape (n_rows, n_features).
        labels: What happened, shape (n_rows,).
    """
    values = model.predictor.contributions(matrix)
    if values is None:
        return _draw_permutations(task, model, matrix, labels)
    return _draw_swarm(task, model.features, matrix, np.asarray(values[:, :-1], dtype=np.float64))


def permutation_importance(task: Task, model: ScoringModel, matrix: Matrix, labels: Vector) -> Vector:
    """Return how much the mean loss grows when a column is shuffled, shape (n_features,); the same every time."""
    metric = RULES[task].metrics[0]
    base = losses(metric, labels, model.predict(matrix)).mean()
    order = np.random.default_rng(_SEED).permutation(len(matrix))
    found = np.zeros(matrix.shape[1])
    shuffled = matrix.copy()
    for column in range(matrix.shape[1]):
        shuffled[:, column] = matrix[order, column]
        found[column] = losses(metric, labels, model.predict(shuffled)).mean() - base
        shuffled[:, column] = matrix[:, column]
    return found


def _draw_swarm(task: Task, features: Sequence[Feature], matrix: Matrix, values: NDArray[np.float64]) -> Figure:
    strongest = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:_SHOWN]
    title = f"Feature effects: SHAP values of {len(matrix):,} rows"
    names = [readable(features[column].name) for column in strongest[::-1]]
    figure, axes = _named_rows(title, names, right=1.1)
    drawn = None
    for place, column in enumerate(strongest[::-1]):
        effect = values[:, column]
        height = place + _spread(effect)
        if features[column].kind == "category":
            axes.scatter(effect, height, s=4, color=MUTED, linewidths=0, alpha=0.7)
            continue
        known = np.isfinite(matrix[:, column])
        axes.scatter(effect[~known], height[~known], s=4, color=MUTED, linewidths=0, alpha=0.7)
        colour = _ranks(matrix[known, column])
        drawn = axes.scatter(effect[known], height[known], s=4, c=colour, cmap="coolwarm", vmin=0, vmax=1, linewidths=0)
    axes.axvline(0, color=MUTED, linewidth=1)
    unit = "log-odds" if task == "classification" else "the label's unit"
    label_axes(axes, f"effect on the score before calibration, {unit}", "")
    if drawn is not None:
        _colour_bar(figure, drawn)
    return figure


def _named_rows(title: str, names: Sequence[str], *, right: float = 0.2) -> tuple[Figure, Axes]:
    """Return an empty figure with a row per name, the first one at the bottom."""
    left = 0.3 + 0.068 * max(len(name) for name in names)
    figure, axes = new_figure(title, width=5.2 + left + right, height=1.2 + 0.32 * len(names), left=left, right=right)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    return figure, axes


def _colour_bar(figure: Figure, drawn: PathCollection) -> None:
    width = figure.get_figwidth()
    place = figure.add_axes((1 - 0.85 / width, 0.2, 0.1 / width, 0.6))
    bar = figure.colorbar(drawn, cax=place, ticks=[0, 1])
    bar.set_ticklabels(["low", "high"], fontsize=8, color=TEXT)
    bar.set_label("value of the feature (grey: a category, or missing)", fontsize=8, color=TEXT)
    bar.outline.set_visible(False)


def _draw_permutations(task: Task, model: ScoringModel, matrix: Matrix, labels: Vector) -> Figure:
    found = permutation_importance(task, model, matrix, labels)
    strongest = np.argsort(-found, kind="stable")[:_SHOWN][::-1]
    title = f"Feature effects: columns of {len(matrix):,} rows shuffled, one at a time"
    figure, axes = _named_rows(title, [readable(model.features[column].name) for column in strongest])
    axes.barh(range(len(strongest)), found[strongest], color=ACCENT, height=0.6)
    axes.axvline(0, color=MUTED, linewidth=1)
    label_axes(axes, f"how much worse {readable(RULES[task].metrics[0])} becomes", "")
    return figure


def _spread(effect: Vector) -> Vector:
    """Return heights within a row of the figure: the more values lie at one place, the further apart they are."""
    low, high = float(effect.min()), float(effect.max())
    if high <= low:
        return np.zeros(len(effect))
    place = np.minimum(((effect - low) / (high - low) * _BINS).astype(np.int64), _BINS - 1)
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=_BINS)
    rank = np.empty(len(effect))
    rank[order] = np.arange(len(effect)) - np.repeat(np.cumsum(counts) - counts, counts)
    side = np.where(rank % 2 == 0, 1, -1) * np.ceil(rank / 2)
    heights: Vector = 0.8 * side / counts.max()
    return heights


def _ranks(values: NDArray[np.float32]) -> Vector:
    """Return where each value stands among all, from 0 to 1, shape (n_rows,)."""
    distinct, place = np.unique(values, return_inverse=True)
    ranks: Vector = place / max(1, len(distinct) - 1)
    return ranks
