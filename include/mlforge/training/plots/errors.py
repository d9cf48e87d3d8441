"""Figures of a regression's values: deciles, and errors over what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlforge.metrics import decile_curve
from mlforge.scoring import Vector
from mlforge.training.plots.style import (
    ACCENT,
    CANDIDATE,
    MUTED,
    TEXT,
    add_legend,
    label_axes,
    line_styles,
    new_figure,
    readable,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 4000
_GROUPS = 20


def draw_deciles(outcomes: Vector, predicted: Mapping[str, Vector]) -> Figure:
    """Return mean outcome over mean prediction of ten equal groups, one line per model."""
    figure, axes = new_figure("Deciles: what was predicted, what came")
    axes.axline((0, 0), slope=1, color=MUTED, linewidth=1, linestyle="--", label="as predicted")
    styles = line_styles(predicted)
    for name, values in predicted.items():
        promised, observed = decile_curve(outcomes, values)
        axes.plot(promised, observed, marker="o", markersize=4, label=readable(name), **styles[name])
    label_axes(axes, "mean prediction of a tenth of the rows", "mean outcome")
    add_legend(axes, "upper left")
    return figure


def draw_residuals(outcomes: Vector, predicted: Mapping[str, Vector]) -> Figure:
    """Return the candidate's errors over its predictions, with their median and middle half per group of rows."""
    values = predicted[CANDIDATE]
    errors = values - outcomes
    figure, axes = new_figure("Residuals: predicted less what came")
    shown = np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS)).astype(np.int64))
    axes.scatter(values[shown], errors[shown], s=5, color=ACCENT, alpha=0.18, linewidths=0, rasterized=True)
    axes.axhline(0, color=MUTED, linewidth=1, linestyle="--")
    groups = [group for group in np.array_split(np.argsort(values, kind="stable"), _GROUPS) if len(group)]
    centers = np.array([values[group].mean() for group in groups])
    low, middle, high = (np.array([np.quantile(errors[group], q) for group in groups]) for q in (0.25, 0.5, 0.75))
    axes.fill_between(centers, low, high, color=TEXT, alpha=0.15, linewidth=0, label="middle half")
    axes.plot(centers, middle, color=TEXT, linewidth=1.6, label="median")
    # A handful of far-off rows would press all others into a line.
    lowest, highest = np.quantile(errors, [0.005, 0.995])
    room = 0.05 * max(highest - lowest, 1e-9)
    axes.set_ylim(min(lowest, 0) - room, max(highest, 0) + room)
    label_axes(axes, "prediction", "error")
    add_legend(axes)
    return figure
