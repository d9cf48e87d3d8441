"""The trials of a search as runs below the one that used it, so that MLflow can compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from mlforge.training.tracking.parameters import model_parameters
from mlforge.training.tracking.processes import this_process
from mlforge.training.tracking.tags import PARENT_RUN, PROCESS, STUDY, TRIAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's server has a few threads; each trial is three requests.
_AT_ONCE = 4
_VALUE, _SECONDS = "trial_loss", "trial_seconds"


class Trial(Protocol):
    """A trial of a study."""

    @property
    def number(self) -> int:
        """Its place in the study, from 0."""
        ...

    @property
    def state(self) -> str:
        """How it ended: `complete`, `pruned` or `fail`."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it tried."""
        ...

    @property
    def value(self) -> float | None:
        """Its loss; None where it has none."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        ...


def log_trials(client: MlflowClient, run: Run, study: str, trials: Sequence[Trial]) -> int:
    """Log the trials of a study that are in MLflow not yet, as runs below the given one; return how many.

    A study that several trainings use is logged once: its trials stand below the first of them, and the tag
    `mlforge.study` leads there from the others.

    Args:
        client: Of MLflow.
        run: That used what the search found.
        study: Address of the study.
        trials: All that it has.
    """
    from mlflow.entities import RunTag

    client.log_batch(run.info.run_id, tags=[RunTag(STUDY, study)])
    there = _logged(client, run.info.experiment_id, study)
    missing = [trial for trial in trials if str(trial.number) not in there]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="trials") as pool:
        for _ in pool.map(lambda trial: _log_trial(client, run, study, trial), missing):
            pass
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


def _log_trial(client: MlflowClient, run: Run, study: str, trial: Trial) -> None:
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
        },
    )
    values = {_VALUE: trial.value, _SECONDS: trial.seconds}
    client.log_batch(
        child.info.run_id,
        metrics=[Metric(name, value, began, 0) for name, value in values.items() if value is not None],
        params=[Param(name, value) for name, value in model_parameters(trial.parameters).items()],
    )
    status = "FAILED" if trial.state.lower() in {"fail", "failed"} else "FINISHED"
    client.set_terminated(child.info.run_id, status, end_time=began + int(1000 * (trial.seconds or 0)))
