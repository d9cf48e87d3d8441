"""Scores of a candidate on the test days, beside those of simple baselines."""

from __future__ import annotations

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Part, load_examples, split_by_time
from mlforge.metrics import measure_use_case
from mlforge.models import load_model
from mlforge.refs import Candidate
from mlforge.scoring import Matrix, ScoringModel, Vector
from mlforge.spec import UseCase
from mlforge.spec.task import RULES
from mlforge.training.baselines import Known, baseline_scores
from mlforge.training.plots import Scored, draw_evaluation
from mlforge.training.plots.style import CANDIDATE
from mlforge.training.tracking import log_evaluation


def evaluate_candidate(use_case: UseCase, candidate: Candidate) -> Candidate:
    """Return the candidate with its scores on the test days and those of the baselines, logged to its run with plots.

    The metrics are `test_<score>` for each score of the task, those of a baseline `baseline_<name>_<score>`. The
    baselines know the labels of the training and validation days.

    Raises:
        TrainingError: The training set cannot be split.
        TerminalError: The model or the training set is gone.
        ServiceUnavailableError: MLflow does not answer.
    """
    parts = split_by_time(use_case, load_examples(use_case, candidate.training_set))
    model = load_model(use_case, candidate.uri)
    encoded = {name: model.encode(part.columns(model.feature_names)) for name, part in parts.items()}
    test, predicted = parts["test"], {CANDIDATE: model.predict(encoded["test"])}
    predicted |= _baselines(use_case, model, parts, encoded)
    scores = {name: measure_use_case(use_case, test.labels, values) for name, values in predicted.items()}
    own = {f"test_{metric}": value for metric, value in scores.pop(CANDIDATE).items()}
    others = {f"baseline_{name}_{metric}": value for name, found in scores.items() for metric, value in found.items()}
    scored = Scored(model, encoded["test"], test.labels, test.times, predicted, _shown_metric(use_case))
    log_evaluation(candidate, model, len(test), own | others, draw_evaluation(use_case.task, scored))
    return candidate.model_copy(update={"metrics": candidate.metrics | own, "baselines": scores})


def _shown_metric(use_case: UseCase) -> str:
    """Return the metric that the gate compares, or the task's first where that is a loss of model.py."""
    metrics = RULES[use_case.task].metrics
    return use_case.gates.metric if use_case.gates.metric in metrics else metrics[0]


def _baselines(
    use_case: UseCase, model: ScoringModel, parts: dict[Part, Examples], encoded: dict[Part, Matrix]
) -> dict[str, Vector]:
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
