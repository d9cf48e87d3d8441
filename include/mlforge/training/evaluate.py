"""Scores of a candidate on the test days, beside those of simple baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlforge.examples import Examples, Part, load_examples, split_by_time
from mlforge.metrics import calibration_curve, classification_metrics
from mlforge.refs import Candidate
from mlforge.scoring import ScoringModel, Vector
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, download_model, tracking_errors
from mlforge.training.baselines import base_rate_probabilities, logistic_regression_probabilities

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluate_candidate(use_case: UseCase, candidate: Candidate) -> Candidate:
    """Return the candidate with its scores on the test days and those of the baselines, logged to its run.

    The metrics are `test_auc`, `test_log_loss`, `test_brier` and `test_ece`, those of a baseline `baseline_<name>_…`.
    The baselines know the labels of the training and validation days.

    Raises:
        TrainingError: The training set cannot be split.
        TerminalError: The model or the training set is gone.
        ServiceUnavailableError: MLflow does not answer.
    """
    parts = split_by_time(use_case, load_examples(use_case, candidate.training_set))
    model = ScoringModel.load(download_model(candidate.uri))
    test = parts["test"]
    probabilities = {"candidate": model.score(test.columns(model.feature_names)), **_baselines(model, parts)}
    scores = {name: classification_metrics(test.labels, values) for name, values in probabilities.items()}
    own = {f"test_{metric}": value for metric, value in scores.pop("candidate").items()}
    others = {f"baseline_{name}_{metric}": value for name, found in scores.items() for metric, value in found.items()}
    _log(candidate, own | others, draw_calibration(test.labels, probabilities))
    return candidate.model_copy(update={"metrics": candidate.metrics | own, "baselines": scores})


def _baselines(model: ScoringModel, parts: dict[Part, Examples]) -> dict[str, Vector]:
    encoded = {name: model.encode(part.columns(model.feature_names)) for name, part in parts.items()}
    known = np.concatenate([encoded["train"], encoded["validation"]])
    labels = np.concatenate([parts["train"].labels, parts["validation"].labels])
    return {
        "base_rate": base_rate_probabilities(labels, len(parts["test"])),
        "logistic_regression": logistic_regression_probabilities(model.features, known, labels, encoded["test"]),
    }


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


def _log(candidate: Candidate, metrics: dict[str, float], figure: Figure) -> None:
    configure_tracking()
    import mlflow

    with tracking_errors("the scores cannot be logged", where=f"{candidate.use_case}, run {candidate.run_id}"):
        mlflow.log_metrics(metrics, run_id=candidate.run_id, model_id=candidate.uri.removeprefix("models:/"))
        mlflow.MlflowClient().log_figure(candidate.run_id, figure, "calibration.png")
