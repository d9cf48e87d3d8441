"""Training a candidate: one MLflow run, one model version."""

from __future__ import annotations

from mlforge.examples import load_examples
from mlforge.refs import Candidate, TrainingSet, Tuning, code_version
from mlforge.spec import UseCase
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from mlforge.training.run import attempt_key, find_run, finished_candidate, log_fit, open_run


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
        ServiceUnavailableError: MLflow does not answer.
    """
    code = code_version(use_case.folder)
    training_set = given.training_set if isinstance(given, Tuning) else given
    plan = FitPlan.of(use_case, given)
    attempt = attempt_key(use_case, training_set, code, plan)
    earlier = find_run(use_case, attempt)
    if earlier is not None:
        candidate = finished_candidate(use_case, training_set, earlier, code)
        if candidate is not None:
            return candidate
    tags = {
        "mlforge.partition_key": training_set.partition_key,
        "mlforge.as_of": training_set.as_of.isoformat(),
        "mlforge.training_set": training_set.uri,
        "mlforge.training_set_hash": training_set.content_hash,
        "mlforge.code_version": code,
        "mlforge.orchestrator_run": run_id or "",
        **{f"mlforge.publication.{name}": str(row) for name, row in training_set.publications.items()},
    }
    fitted = fit_model(use_case, load_examples(use_case, training_set), plan)
    with open_run(use_case, training_set, attempt, resumed=earlier, tags=tags) as run:
        return log_fit(use_case, training_set, run, fitted)
