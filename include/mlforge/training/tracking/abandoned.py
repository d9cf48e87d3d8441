"""Runs that a killed process has left at RUNNING are marked by the next attempt."""

from __future__ import annotations

from datetime import UTC, datetime

from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors
from mlforge.training.tracking.attempts import finish_run, leave_behind
from mlforge.training.tracking.processes import is_gone
from mlforge.training.tracking.tags import PROCESS, is_complete

_REASON = "the process that wrote it was killed"


def mark_abandoned_runs(use_case: UseCase) -> int:
    """Mark the runs of a use case that nobody writes any more, and return how many they are.

    A run whose process is gone, or that has been written for an hour, is FAILED and says why; one that has its model
    version, and lacks nothing but its end, is FINISHED.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    configure_tracking()
    from mlflow import MlflowClient

    client, now = MlflowClient(), datetime.now(UTC)
    with tracking_errors("runs that were left behind cannot be looked up", where=use_case.name):
        experiment = client.get_experiment_by_name(use_case.name)
        if experiment is None:
            return 0
        query = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '%'"
        running = client.search_runs([experiment.experiment_id], query, max_results=100)
        abandoned = [run for run in running if is_gone(run.data.tags[PROCESS], now)]
        for run in abandoned:
            if is_complete(run.data.tags):
                finish_run(client, run)
            else:
                leave_behind(client, run, _REASON)
    return len(abandoned)
