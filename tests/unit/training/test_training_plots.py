from __future__ import annotations

import io

import numpy as np
import pytest

from mlforge.metrics import log_losses
from mlforge.scoring import Feature, Matrix, ModelDescription, NoCalibration, ScoringModel, Vector
from mlforge.spec.task import Task
from mlforge.training.plots import Scored, draw_evaluation
from mlforge.training.plots.contributions import permutation_importance
from mlforge.training.plots.daily import daily_metric

ROWS = 300


class LinearPredictor:
    """The score is the first column; with or without SHAP values."""

    def __init__(self, *, explains: bool) -> None:
        self.explains = explains
        self.n_features = 3

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        values = np.nan_to_num(matrix[:, 0]).astype(np.float64)
        return 1 / (1 + np.exp(-values)) if task == "classification" else values

    def contributions(self, matrix: Matrix) -> Matrix | None:
        if not self.explains:
            return None
        return np.column_stack([np.nan_to_num(matrix[:, 0]), np.zeros((len(matrix), 3), dtype=np.float32)])


def _scored(task: Task, *, explains: bool = True, rows: int = ROWS, one_class: bool = False) -> Scored:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(rows, 3)).astype(np.float32)
    matrix[::7, 1] = np.nan
    matrix[:, 2] = random.integers(0, 3, rows)
    features = (
        Feature(name="tail_delays__late_share", kind="number"),
        Feature(name="weather__temp", kind="number"),
        Feature(name="carrier", kind="category", categories=("AA", "B6", "UA")),
    )
    model = ScoringModel(
        LinearPredictor(explains=explains),
        ModelDescription(features=features, calibration=NoCalibration(), task=task),
        "0" * 64,
    )
    scores = model.predict(matrix)
    labels = (random.random(rows) < scores).astype(np.float64) if task == "classification" else scores + 1
    times = np.datetime64("2013-03-25") + np.sort(random.integers(0, 7 * 24, rows)).astype("timedelta64[h]")
    return Scored(
        model=model,
        matrix=matrix,
        labels=np.zeros(rows) if one_class else labels,
        times=times,
        scores={"candidate": scores, "base_rate": np.full(rows, float(labels.mean()))},
        metric="log_loss" if task == "classification" else "mae",
    )


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("classification", {"calibration", "roc", "precision_recall", "metric_over_time", "feature_effects"}),
        ("regression", {"deciles", "residuals", "metric_over_time", "feature_effects"}),
    ],
)
@pytest.mark.parametrize("explains", [True, False])
def test_every_figure_is_drawn_with_named_axes(task: Task, expected: set[str], explains: bool) -> None:
    figures = draw_evaluation(task, _scored(task, explains=explains))
    assert set(figures) == expected
    for name, figure in figures.items():
        axes = figure.axes[0]
        assert axes.get_title(loc="left"), name
        assert axes.get_xlabel(), name
        written = io.BytesIO()
        figure.savefig(written)
        assert written.getvalue().startswith(b"\x89PNG")
    names = [label.get_text() for label in figures["feature_effects"].axes[0].get_yticklabels()]
    assert names[-1] == "tail delays: late share"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("rows", "one_class"), [(1, False), (1, True), (40, True)])
def test_few_rows_and_one_class_are_drawn_without_a_warning(rows: int, one_class: bool) -> None:
    for figure in draw_evaluation("classification", _scored("classification", rows=rows, one_class=one_class)).values():
        figure.savefig(io.BytesIO())


def test_a_metric_per_day_is_the_mean_over_the_rows_of_the_day() -> None:
    scored = _scored("classification")
    days, values = daily_metric("log_loss", scored.times, scored.labels, scored.scores["candidate"])
    for day, value in zip(days, values, strict=True):
        rows = scored.times.astype("datetime64[D]") == day
        assert value == pytest.approx(log_losses(scored.labels[rows], scored.scores["candidate"][rows]).mean())
    _, roots = daily_metric("rmse", scored.times, scored.labels, scored.scores["candidate"])
    rows = scored.times.astype("datetime64[D]") == days[0]
    squared = (scored.scores["candidate"][rows] - scored.labels[rows]) ** 2
    assert roots[0] == pytest.approx(np.sqrt(squared.mean()))


def test_shuffling_tells_the_column_that_matters_and_leaves_the_matrix_alone() -> None:
    scored = _scored("regression", explains=False)
    before = scored.matrix.copy()
    importance = permutation_importance("regression", scored.model, scored.matrix, scored.labels - 1)
    assert importance[0] > 0.5
    assert importance[1] == importance[2] == 0
    np.testing.assert_array_equal(scored.matrix, before)
