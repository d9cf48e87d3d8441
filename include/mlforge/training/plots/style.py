"""How figures look: one palette, the candidate first and strongest, thin axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CANDIDATE = "candidate"
ACCENT = "#2563eb"
MUTED = "#9ca3af"
TEXT = "#1f2937"
# Beside the accent, told apart by people who see colours differently as well.
_OTHERS = ("#d97706", "#059669", "#7c3aed", "#db2777")


def new_figure(
    title: str, *, width: float = 6.4, height: float = 5.0, left: float = 0.65, right: float = 0.2
) -> tuple[Figure, Axes]:
    """Return an empty figure with one axes; without pyplot, which would keep it for ever.

    Its margins are fixed: a layout that is computed draws everything twice.

    Args:
        title: What it shows.
        width: In inches.
        height: In inches.
        left: Margin for the numbers or names of the vertical axis, in inches.
        right: Margin, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((left / width, 0.55 / height, 1 - (left + right) / width, 1 - 1.0 / height))
    axes.set_title(title, loc="left", color=TEXT, fontsize=11, fontweight="bold", pad=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=TEXT, labelsize=8)
    axes.grid(visible=True, color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name both axes."""
    axes.set_xlabel(x, color=TEXT, fontsize=9)
    axes.set_ylabel(y, color=TEXT, fontsize=9)


Place = Literal["best", "upper left", "upper right", "lower right"]


def add_legend(axes: Axes, place: Place = "best") -> None:
    """Add a legend without a box."""
    axes.legend(frameon=False, fontsize=8, labelcolor=TEXT, loc=place)


def line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how the line of each model is drawn: the candidate's strong, the others' thin, in the order of names."""
    others = [name for name in names if name != CANDIDATE]
    styles: dict[str, dict[str, Any]] = {CANDIDATE: {"color": ACCENT, "linewidth": 2.0, "zorder": 3}}
    for place, name in enumerate(others):
        styles[name] = {"color": _OTHERS[place % len(_OTHERS)], "linewidth": 1.2, "zorder": 2}
    return styles


def readable(name: str) -> str:
    """Return a name as people write it."""
    return name.replace("__", ": ").replace("_", " ")
