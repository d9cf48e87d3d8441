"""Training a candidate: one MLflow run, one model version."""

from __future__ import annotations

from mlforge.errors import TrainingError
from mlforge.examples import load_examples
from mlforge.refs import Candidate, TrainingSet, Tuning
from mlforge.spec import UseCase
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from mlforge.training.search import TrialSummary, study_trials
from mlforge.training.tracking import (
    Attempt,
    find_run,
    finished_candidate,
    log_fit,
    log_trials,
    mark_abandoned_runs,
    open_run,
)
from mlforge.training.tracking.resources import ResourceMeter


def train_candidate(use_case: UseCase, given: TrainingSet | Tuning, *, run_id: str | None = None) -> Candidate:
    """Return the candidate of a training set, trained, logged to MLflow and registered.

    The same training set, code and settings give the same candidate: a finished attempt is returned as it is, one that
    was interrupted goes on in its own run.

    Args:
        use_case: Whose model.
        given: What it is trained on; with what a search found, where there was one.
        run_id: The run of the orchestrator, noted on the MLflow run.

    Raises:
        TrainingError: Too few rows, labels that are all the same or are none, or parameters that cannot be used.
        RetryableError: The upload of the model was cut short.
        ServiceUnavailableError: MLflow does not answer.
    """
    training_set = given.training_set if isinstance(given, Tuning) else given
    attempt = Attempt.of(use_case, training_set, FitPlan.of(use_case, given))
    mark_abandoned_runs(use_case)
    earlier = find_run(attempt)
    candidate = finished_candidate(attempt, earlier) if earlier is not None else None
    if candidate is not None:
        return candidate
    with ResourceMeter() as used:
        fitted = fit_model(use_case, load_examples(use_case, training_set), attempt.plan)
    trials = _trials(given) if isinstance(given, Tuning) else []
    with open_run(attempt, resumed=earlier, run_id=run_id) as run:
        if isinstance(given, Tuning):
            log_trials(run, given.uri, trials)
        return log_fit(attempt, run, fitted, used, resumed=earlier is not None)


def _trials(tuning: Tuning) -> list[TrialSummary]:
    try:
        return study_trials(tuning)
    except TrainingError:
        # The study was deleted since: the model can be trained all the same.
        return []
