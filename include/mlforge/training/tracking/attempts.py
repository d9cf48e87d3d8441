"""One run per attempt: found again on a retry, and marked where it is left behind."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlforge.fingerprints import fingerprints
from mlforge.refs import Candidate, TrainingSet, code_version
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors, tracking_reachable
from mlforge.training.plan import FitPlan
from mlforge.training.tracking.environment import git_tags
from mlforge.training.tracking.processes import this_process
from mlforge.training.tracking.tags import (
    ATTEMPT,
    LEFT_BEHIND,
    MODEL_HASH,
    MODEL_URI,
    MODEL_VERSION,
    PROCESS,
    fingerprint_tags,
    is_complete,
    read_fingerprints,
)
from mlforge.training.tracking.versions import dataset_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_LONGEST_REASON = 500


@dataclass(frozen=True)
class Attempt:
    """Training one plan on one training set with one state of the code; whoever does the same makes the same attempt.

    Attributes:
        code: Version of the code.
        fingerprints: What is used besides the rows, see `mlforge.fingerprints`; and `plan`, what was fitted.
    """

    use_case: UseCase
    training_set: TrainingSet
    plan: FitPlan
    code: str
    fingerprints: Mapping[str, str]

    @classmethod
    def of(cls, use_case: UseCase, training_set: TrainingSet, plan: FitPlan) -> Attempt:
        """Return the attempt with the code as it is now."""
        inputs = {**fingerprints(use_case), "plan": hashlib.sha256(_in_writing(plan).encode()).hexdigest()[:12]}
        return cls(use_case, training_set, plan, code_version(use_case.folder), inputs)

    @property
    def key(self) -> str:
        """What it is known by: the same data, code, training settings and plan are the same attempt."""
        settings = self.use_case.training.model_dump_json() + _in_writing(self.plan)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        return f"{self.use_case.name}:{self.training_set.content_hash}:{self.code}:{digest}"

    @property
    def run_name(self) -> str:
        """What a person sees in the list of runs."""
        return f"{self.training_set.partition_key} {self.training_set.content_hash[:8]}"

    def tags(self, run_id: str | None) -> dict[str, str]:
        """Return what the run is found by.

        Args:
            run_id: Of the orchestrator.
        """
        given = self.training_set
        return {
            ATTEMPT: self.key,
            PROCESS: this_process(),
            "mlforge.partition_key": given.partition_key,
            "mlforge.as_of": given.as_of.isoformat(),
            "mlforge.training_set": given.uri,
            "mlforge.training_set_hash": given.content_hash,
            "mlforge.code_version": self.code,
            "mlforge.orchestrator_run": run_id or "",
            # What MLflow's page shows as creator and source.
            "mlflow.user": _user(),
            "mlflow.source.name": run_id or "mlforge stage train",
            "mlflow.source.type": "JOB" if run_id else "LOCAL",
            **{f"mlforge.publication.{name}": str(row) for name, row in given.publications.items()},
            **{f"mlforge.dataset_version.{name}": version for name, version in dataset_versions(given).items()},
            **fingerprint_tags(self.fingerprints),
            **git_tags(),
        }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        return str(os.getuid())


def find_run(attempt: Attempt) -> Run | None:
    """Return the run of an attempt, finished or not; None if there is none."""
    configure_tracking()
    from mlflow import MlflowClient

    client = MlflowClient()
    with tracking_errors("the run cannot be looked up", where=attempt.use_case.name):
        experiment = client.get_experiment_by_name(attempt.use_case.name)
        if experiment is None:
            return None
        found = client.search_runs(
            [experiment.experiment_id],
            f"tags.`{ATTEMPT}` = '{attempt.key}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
    return found[0] if found else None


def finished_candidate(attempt: Attempt, run: Run) -> Candidate | None:
    """Return the candidate that a run made, None if it did not come so far or its model version was deleted."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    tags, client = run.data.tags, MlflowClient()
    if not is_complete(tags):
        return None
    with tracking_errors("the model version cannot be looked up", where=attempt.use_case.name):
        try:
            client.get_model_version(attempt.use_case.name, tags[MODEL_VERSION])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if run.info.status != "FINISHED":
            # Its process was killed after the last thing that it wrote.
            finish_run(client, run)
    return candidate_of(
        attempt,
        run,
        uri=tags[MODEL_URI],
        content_hash=tags[MODEL_HASH],
        version=int(tags[MODEL_VERSION]),
        metrics={name: value for name, value in run.data.metrics.items() if _is_training_metric(name)},
        used=read_fingerprints(tags),
    )


def candidate_of(
    attempt: Attempt,
    run: Run,
    *,
    uri: str,
    content_hash: str,
    version: int,
    metrics: Mapping[str, float],
    used: Mapping[str, str],
) -> Candidate:
    """Return the reference of what an attempt has made.

    Args:
        attempt: The attempt.
        run: Its run.
        uri: Address of the model.
        content_hash: Of the model.
        version: Number of the registered version.
        metrics: Scores of the training and validation rows.
        used: Fingerprints of what it was made from.
    """
    return Candidate(
        use_case=attempt.use_case.name,
        partition_key=attempt.training_set.partition_key,
        uri=uri,
        rows=attempt.training_set.rows,
        content_hash=content_hash,
        code_version=attempt.code,
        run_id=run.info.run_id,
        model_name=attempt.use_case.name,
        model_version=version,
        training_set=attempt.training_set,
        metrics=dict(sorted(metrics.items())),
        baselines={},
        fingerprints=dict(used),
    )


def _is_training_metric(name: str) -> bool:
    return name.startswith(("train_", "validation_"))


@contextmanager
def open_run(attempt: Attempt, *, resumed: Run | None, run_id: str | None = None) -> Iterator[Run]:
    """Give the attempt's run, new or resumed; where the work inside fails, it is marked as left behind.

    It is opened when the model is fitted, not before: what stands at RUNNING is being written.

    Args:
        attempt: The attempt.
        resumed: Its run, where an earlier try has made one.
        run_id: Of the orchestrator.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    with tracking_errors("the run cannot be logged", where=attempt.use_case.name):
        run = _start(client, attempt, run_id) if resumed is None else _resume(client, attempt, resumed, run_id)
        try:
            yield run
        except BaseException as error:
            _leave_behind(client, run, error)
            raise
        finish_run(client, run)


def finish_run(client: MlflowClient, run: Run) -> None:
    """Say that a run is whole."""
    client.set_terminated(run.info.run_id, "FINISHED")
    if LEFT_BEHIND in run.data.tags:
        client.delete_tag(run.info.run_id, LEFT_BEHIND)


def leave_behind(client: MlflowClient, run: Run, reason: str) -> None:
    """Mark a run that was not brought to its end, and say why."""
    from mlflow.entities import RunTag

    client.log_batch(run.info.run_id, tags=[RunTag(LEFT_BEHIND, reason[:_LONGEST_REASON])])
    client.set_terminated(run.info.run_id, "FAILED")


def _leave_behind(client: MlflowClient, run: Run, error: BaseException) -> None:
    """Mark the run if MLflow answers; if it does not, the next attempt finds it."""
    import requests
    from mlflow.exceptions import MlflowException

    if tracking_reachable():
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        with contextlib.suppress(MlflowException, requests.RequestException):
            leave_behind(client, run, reason)


def _start(client: MlflowClient, attempt: Attempt, run_id: str | None) -> Run:
    from mlflow.exceptions import MlflowException

    name = attempt.use_case.name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            experiment_id = client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment_id = client.get_experiment_by_name(name).experiment_id
    else:
        experiment_id = experiment.experiment_id
    return client.create_run(experiment_id, tags=attempt.tags(run_id), run_name=attempt.run_name)


def _resume(client: MlflowClient, attempt: Attempt, run: Run, run_id: str | None) -> Run:
    from mlflow.entities import RunTag

    client.update_run(run.info.run_id, status="RUNNING")
    client.log_batch(run.info.run_id, tags=[RunTag(name, value) for name, value in attempt.tags(run_id).items()])
    return run


def _in_writing(plan: FitPlan) -> str:
    return json.dumps([plan.family, dict(plan.parameters), plan.features], sort_keys=True)
