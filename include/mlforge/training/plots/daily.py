"""A score per day: whether a candidate is good on all days, or on the mean of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlforge.metrics import from_mean, losses
from mlforge.scoring import Vector
from mlforge.training.plots.style import MUTED, TEXT, add_legend, label_axes, line_styles, new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Days as days up to this many; more are drawn without their marks.
_MARKED = 45
_NAMED = 10


def daily_metric(
    metric: str, times: NDArray[np.datetime64], labels: Vector, scores: Vector
) -> tuple[NDArray[np.datetime64], Vector]:
    """Return the UTC days that have rows, and the metric of each, shape (n_days,).

    Args:
        metric: `log_loss`, `brier`, `mae` or `rmse`.
        times: Of the rows, UTC, shape (n_rows,).
        labels: What happened, shape (n_rows,).
        scores: What was predicted, shape (n_rows,).
    """
    days, place, rows = np.unique(times.astype("datetime64[D]"), return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=losses(metric, labels, scores))
    return days, from_mean(metric, sums / rows)


def draw_daily_metric(
    metric: str, times: NDArray[np.datetime64], labels: Vector, scores: Mapping[str, Vector]
) -> Figure:
    """Return a metric per UTC day, one line per model, above the rows of each day."""
    figure, axes = new_figure(f"{readable(metric).capitalize()} per day", width=7.6, height=4.2, right=0.65)
    styles = line_styles(scores)
    days, rows = np.unique(times.astype("datetime64[D]"), return_counts=True)
    places = np.arange(len(days))
    for name, values in scores.items():
        _, found = daily_metric(metric, times, labels, values)
        marker = "o" if len(days) <= _MARKED else None
        axes.plot(places, found, marker=marker, markersize=3.5, label=readable(name), **styles[name])
    _draw_rows(axes, places, rows)
    named = places[:: max(1, -(-len(days) // _NAMED))]
    axes.set_xticks(named, [f"{day:%d %b}" for day in days[named].tolist()])
    label_axes(axes, f"day (UTC) of {days[-1].tolist():%Y}", f"{readable(metric)}, lower is better")
    add_legend(axes)
    return figure


def _draw_rows(axes: Axes, places: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    below = axes.twinx()
    below.bar(places, rows, width=0.8, color=MUTED, alpha=0.2, zorder=0)
    below.set_ylim(0, 4 * int(rows.max()))
    below.set_ylabel("rows (bars)", color=TEXT, fontsize=8)
    below.tick_params(colors=TEXT, labelsize=7)
    below.spines[["top", "left"]].set_visible(False)
    # The lines stand before the bars.
    axes.set_zorder(below.get_zorder() + 1)
    axes.patch.set_visible(False)
