"""The trials of a search as runs below the one that used it, so that MLflow can compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlforge.training.search import TrialSummary
from mlforge.training.tracking.parameters import model_parameters
from mlforge.training.tracking.processes import this_process
from mlforge.training.tracking.tags import PARENT_RUN, PROCESS, STUDY, TRIAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's server has a few threads; each trial is three requests.
_AT_ONCE = 4
# What MLflow calls the end of a trial; others have not come to theirs.
_STATUS: Mapping[str, str] = {"complete": "FINISHED", "pruned": "KILLED", "repeated": "KILLED", "failed": "FAILED"}


def log_trials(run: Run, study: str, trials: Sequence[TrialSummary]) -> int:
    """Log the trials of a study that are in MLflow not yet, as runs below the given one; return how many.

    A study that several trainings use is logged once: its trials stand below the first of them, and the tag
    `mlforge.study` leads there from the others.

    Args:
        run: That uses what the search found.
        study: Address of the study.
        trials: All that it has; those that are not finished are left out.
    """
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    client = MlflowClient()
    client.log_batch(run.info.run_id, tags=[RunTag(STUDY, study)])
    there = _logged(client, run.info.experiment_id, study)
    missing = [trial for trial in trials if trial.state in _STATUS and str(trial.number) not in there]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="trials") as pool:
        list(pool.map(lambda trial: _log_trial(client, run, study, trial), missing))
    return len(missing)


def _logged(client: MlflowClient, experiment_id: str, study: str) -> set[str]:
    query = f"tags.`{STUDY}` = '{study}' and tags.`{TRIAL}` LIKE '%' and attributes.status != 'RUNNING'"
    found, token = set(), None
    while True:
        page = client.search_runs([experiment_id], query, max_results=1000, page_token=token)
        found |= {run.data.tags[TRIAL] for run in page}
        token = page.token
        if not token:
            return found


def _log_trial(client: MlflowClient, run: Run, study: str, trial: TrialSummary) -> None:
    from mlflow.entities import Metric, Param

    began = run.info.start_time
    child = client.create_run(
        run.info.experiment_id,
        start_time=began,
        run_name=f"trial {trial.number}",
        tags={
            PARENT_RUN: run.info.run_id,
            STUDY: study,
            TRIAL: str(trial.number),
            PROCESS: this_process(),
            "mlforge.trial_state": trial.state,
            "mlforge.trial_reason": trial.reason,
        },
    )
    single = {"trial_loss": trial.value, "trial_seconds": trial.seconds}
    metrics = [Metric(name, value, began, 0) for name, value in single.items() if value is not None]
    metrics += [Metric("trial_fold_loss", loss, began, fold) for fold, loss in enumerate(trial.losses)]
    parameters = {"family": trial.family} | model_parameters(trial.parameters)
    client.log_batch(
        child.info.run_id, metrics=metrics, params=[Param(name, value) for name, value in parameters.items()]
    )
    client.set_terminated(child.info.run_id, _STATUS[trial.state], end_time=began + int(1000 * (trial.seconds or 0)))
