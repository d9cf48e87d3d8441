"""Figures of probabilities: calibration, ROC, precision and recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlforge.metrics import area_under_curve, calibration_curve
from mlforge.scoring import Vector
from mlforge.training.plots.style import (
    ACCENT,
    CANDIDATE,
    MUTED,
    add_legend,
    label_axes,
    line_styles,
    new_figure,
    readable,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More points than that nobody sees.
_MOST_POINTS = 400


def draw_calibration(labels: Vector, probabilities: Mapping[str, Vector]) -> Figure:
    """Return promised against observed frequency, one line per model, and how often the candidate promises what."""
    figure, axes = new_figure("Calibration: what was promised, what came")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="as promised")
    styles = line_styles(probabilities)
    for name, values in probabilities.items():
        promised, observed, _ = calibration_curve(labels, values)
        axes.plot(promised, observed, marker="o", markersize=4, label=readable(name), **styles[name])
    shares, edges = np.histogram(probabilities[CANDIDATE], bins=20, range=(0, 1))
    height = 0.15 * shares / max(1, shares.max())
    axes.bar(edges[:-1], height, width=0.05, align="edge", color=ACCENT, alpha=0.15, label="candidate's promises")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label_axes(axes, "promised probability", "observed frequency")
    add_legend(axes, "upper left")
    return figure


def draw_roc(labels: Vector, probabilities: Mapping[str, Vector]) -> Figure:
    """Return the share of positives found over that of false alarms, one line per model, its area in the legend."""
    figure, axes = new_figure("ROC: positives found, false alarms given")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    styles = line_styles(probabilities)
    for name, values in probabilities.items():
        found, alarms = _ranked(labels, values)
        auc = f"{area_under_curve(labels, values):.3f}" if 0 < labels.sum() < len(labels) else "one class only"
        false = (alarms - found) / max(1.0, float(len(labels) - labels.sum()))
        true = found / max(1.0, float(labels.sum()))
        axes.plot(*_thin(false, true), label=f"{readable(name)} (AUC {auc})", **styles[name])
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    label_axes(axes, "false alarms, share of negatives", "found, share of positives")
    add_legend(axes, "lower right")
    return figure


def draw_precision_recall(labels: Vector, probabilities: Mapping[str, Vector]) -> Figure:
    """Return precision over recall, one line per model, its average precision in the legend."""
    figure, axes = new_figure("Precision and recall")
    axes.axhline(float(labels.mean()), color=MUTED, linewidth=1, linestyle="--", label="share of positives")
    styles = line_styles(probabilities)
    positives = max(1.0, float(labels.sum()))
    for name, values in probabilities.items():
        found, alarms = _ranked(labels, values)
        precision, recall = found[1:] / alarms[1:], found[1:] / positives
        average = float(np.sum(np.diff(found, prepend=0.0)[1:] / positives * precision))
        axes.plot(*_thin(recall, precision), label=f"{readable(name)} (AP {average:.3f})", **styles[name])
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    label_axes(axes, "recall: share of positives found", "precision: share of alarms that are right")
    add_legend(axes, "upper right")
    return figure


def _ranked(labels: Vector, values: Vector) -> tuple[Vector, Vector]:
    """Return positives and rows among those above each distinct score, highest first, from zero rows on."""
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.cumsum(labels[order])[ends]
    return np.append(0.0, found), np.append(0.0, ends + 1.0)


def _thin(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(np.int64))
    return x[places], y[places]
