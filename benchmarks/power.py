"""How likely the gate promotes a model, against how much better or worse it truly is: docs/images/power.svg.

The losses are real: a model of `flight_delays` is trained every week, and each one is compared with that of the week
before on its own test days, as the gate compares them. Their differences, moved to a known mean, are drawn again and
again for windows of different size; moving all differences moves the interval as far, so one set of windows serves for
every true difference.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, show

ROWS = (1_000, 5_000, 20_000)
WEEKS, LAST_DAY = 7, "2013-05-26"
WINDOWS, SAMPLES = 400, 400
DIFFERENCES = np.linspace(-0.006, 0.006, 121)  # nats of log loss; above zero the candidate is worse
SEEN = 0.002
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "power.svg"


def measure(picture: Path | None = None) -> list[Figure]:
    """Return how many rows it takes to see a difference, and draw the curves if a file is named."""
    weeks = real_differences()
    pooled = np.concatenate([differences for differences, _ in weeks])
    pooled -= pooled.mean()
    curves = {rows: promoted(pooled, rows) for rows in ROWS}
    if picture is not None:
        draw(curves, picture)
    spread, factor = float(pooled.std()), design_effect(weeks)
    needed = ((1.96 + 0.84) * spread / SEEN) ** 2
    what = f"rows to see a difference of {SEEN} log loss in four of five windows"
    beside = f"standard deviation of the paired differences {spread:.4f}"
    return [
        Figure(what, needed, "", "", beside),
        Figure("variance of a week's mean by whole days, beside that by rows", factor, "×", "", "why `resample: day`"),
    ]


def real_differences() -> list[tuple[Any, Any]]:
    """Return, per week, candidate's less champion's loss of each test row, and the day of each row."""
    from training_examples import store_examples

    from mlforge.examples import load_examples, split_by_time
    from mlforge.metrics import use_case_losses
    from mlforge.settings import get_settings
    from mlforge.spec import load_use_case
    from mlforge.training.fitting import fit_model

    use_case = load_use_case("flight_delays")
    home = tempfile.mkdtemp(prefix="mlforge-bench-")
    os.environ["MLFORGE_HOME"] = home
    get_settings.cache_clear()
    try:
        examples = load_examples(use_case, store_examples(330_000))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    week, day, found, champion = np.timedelta64(7, "D"), np.timedelta64(1, "D"), [], None
    for number in range(WEEKS):
        end = np.datetime64(LAST_DAY) + day - (WEEKS - 1 - number) * week
        start = end - use_case.training.window_days * day
        window = examples.rows((examples.times >= start) & (examples.times < end))
        model = fit_model(use_case, window).scoring_model(use_case)
        if champion is not None:
            test = split_by_time(use_case, window)["test"]
            own, theirs = (
                use_case_losses(use_case, "log_loss", test.labels, each.score(test.columns(each.feature_names)))
                for each in (model, champion)
            )
            found.append((own - theirs, test.times.astype("datetime64[D]")))
            print(f"{end}: {(own - theirs).mean():+.4f} of {len(test)} rows", file=sys.stderr)
        champion = model
    return found


def design_effect(weeks: list[tuple[Any, Any]]) -> float:
    """Return how much more a week's mean difference varies than if rows came one by one, the mean over weeks."""
    ratios = []
    for differences, days in weeks:
        known, places = np.unique(days, return_inverse=True)
        sums = np.bincount(places, weights=differences - differences.mean())
        by_days = (sums**2).sum() * len(known) / (len(known) - 1)
        ratios.append(by_days / ((differences - differences.mean()) ** 2).sum())
    return float(np.mean(ratios))


def promoted(pooled: Any, rows: int) -> dict[str, Any]:
    """Return the share of windows in which a candidate is promoted, per rule and true difference."""
    from mlforge.registry.comparison import compare_losses
    from mlforge.spec.gates import Gates

    generator = np.random.default_rng(rows)
    gates = Gates(bootstrap_samples=SAMPLES, non_inferiority_margin=SEEN)
    drawn = (generator.choice(pooled, rows) for _ in range(WINDOWS))
    upper = np.array([compare_losses(gates, challenger=each, champion=np.zeros(rows)).upper for each in drawn])
    moved = upper[:, None] + DIFFERENCES[None, :]
    return {"non_inferiority": (moved <= SEEN).mean(axis=0), "superiority": (moved < 0).mean(axis=0)}


def draw(curves: dict[int, dict[str, Any]], picture: Path) -> None:
    """Write the curves as a picture, the same bytes for the same figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "power"
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(11, 4.2), layout="constrained", facecolor="white")
    titles = {"non_inferiority": f"non_inferiority, margin {SEEN}", "superiority": "superiority"}
    for place, (rule, title) in enumerate(titles.items()):
        axes = drawing.add_subplot(1, 2, place + 1, title=title, xlabel="true difference of log loss to the champion")
        for rows, color in zip(curves, ("#d9822b", "#1a9c74", "#3867d6"), strict=True):
            axes.plot(DIFFERENCES, curves[rows][rule], color=color, linewidth=2, label=f"{rows:,} test rows")
        axes.axvline(SEEN if rule == "non_inferiority" else 0, color="#c0392b", linewidth=1, linestyle="--")
        axes.axhline(0.025, color="#5d6778", linewidth=1, linestyle=":")
        axes.set(ylim=(-0.02, 1.02), xlim=(DIFFERENCES[0], DIFFERENCES[-1]), ylabel="probability of promotion")
        axes.grid(color="#e5e9f0")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    show(measure(PICTURE))
