"""Scores of a candidate on the test days, beside those of simple baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Part, load_examples, split_by_time
from mlforge.metrics import calibration_curve, decile_curve, measure
from mlforge.models import load_model
from mlforge.refs import Candidate
from mlforge.scoring import ScoringModel, Vector
from mlforge.spec import UseCase
from mlforge.spec.task import Task
from mlforge.tracking import configure_tracking, tracking_errors
from mlforge.training.baselines import Known, baseline_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluate_candidate(use_case: UseCase, candidate: Candidate) -> Candidate:
    """Return the candidate with its scores on the test days and those of the baselines, logged to its run.

    The metrics are `test_<score>` for each score of the task, those of a baseline `baseline_<name>_<score>`. The
    baselines know the labels of the training and validation days.

    Raises:
        TrainingError: The training set cannot be split.
        TerminalError: The model or the training set is gone.
        ServiceUnavailableError: MLflow does not answer.
    """
    parts = split_by_time(use_case, load_examples(use_case, candidate.training_set))
    model = load_model(use_case, candidate.uri)
    test = parts["test"]
    predicted = {"candidate": model.score(test.columns(model.feature_names)), **_baselines(use_case, model, parts)}
    scores = {name: measure(use_case.task, test.labels, values) for name, values in predicted.items()}
    own = {f"test_{metric}": value for metric, value in scores.pop("candidate").items()}
    others = {f"baseline_{name}_{metric}": value for name, found in scores.items() for metric, value in found.items()}
    _log(candidate, own | others, _DRAW[use_case.task](test.labels, predicted))
    return candidate.model_copy(update={"metrics": candidate.metrics | own, "baselines": scores})


def _baselines(use_case: UseCase, model: ScoringModel, parts: dict[Part, Examples]) -> dict[str, Vector]:
    encoded = {name: model.encode(part.columns(model.feature_names)) for name, part in parts.items()}
    known = Known(
        features=model.features,
        matrix=np.concatenate([encoded["train"], encoded["validation"]]),
        labels=np.concatenate([parts["train"].labels, parts["validation"].labels]),
        asked=encoded["test"],
        last_values=_last_values(use_case, parts["test"]),
    )
    return baseline_scores(use_case.task, known)


def _last_values(use_case: UseCase, test: Examples) -> Vector | None:
    column = use_case.training.last_value
    if column is None:
        return None
    values = test.columns([column])[column]
    if not isinstance(values, np.ndarray):
        raise TrainingError(
            f"training.last_value names {column!r}, which holds text", where=use_case.name, hint="name a number"
        )
    return values.astype(np.float64)


def draw_calibration(labels: Vector, probabilities: dict[str, Vector]) -> Figure:
    """Return a figure of promised against observed frequency, one line per model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot(xlabel="promised probability", ylabel="observed frequency", aspect="equal")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for name, values in probabilities.items():
        promised, observed, _ = calibration_curve(labels, values)
        axes.plot(promised, observed, marker="o", label=name.replace("_", " "))
    axes.legend(frameon=False)
    return figure


def draw_deciles(outcomes: Vector, predicted: dict[str, Vector]) -> Figure:
    """Return a figure of mean outcome over mean prediction of ten equal groups, one line per model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot(xlabel="mean prediction of a tenth of the rows", ylabel="mean outcome")
    for name, values in predicted.items():
        promised, observed = decile_curve(outcomes, values)
        axes.plot(promised, observed, marker="o", label=name.replace("_", " "))
    axes.axline((0, 0), slope=1, color="grey", linewidth=1, linestyle="--")
    axes.legend(frameon=False)
    return figure


_DRAW: Mapping[Task, Callable[[Vector, dict[str, Vector]], Figure]] = {
    "classification": draw_calibration,
    "regression": draw_deciles,
}


def _log(candidate: Candidate, metrics: dict[str, float], figure: Figure) -> None:
    configure_tracking()
    import mlflow

    with tracking_errors("the scores cannot be logged", where=f"{candidate.use_case}, run {candidate.run_id}"):
        mlflow.log_metrics(metrics, run_id=candidate.run_id, model_id=candidate.uri.removeprefix("models:/"))
        mlflow.MlflowClient().log_figure(candidate.run_id, figure, "calibration.png")
