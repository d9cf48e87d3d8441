"""Weeks of a walk in MLflow: an experiment of its own, one run per week and policy, and one per policy above them.

The ledger is the truth. What MLflow lacks, because it did not answer, it is told with the next week.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from mlforge.errors import MLForgeError
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors, tracking_reachable
from mlforge.walk_forward.ledger import WalkRecord, WeekRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_ROW = "mlforge.walk_week"
_WALK = "mlforge.walk"
_POLICY = "mlforge.policy"
_PARENT = "mlflow.parentRunId"
_MOST = 1000


def experiment_name(use_case: UseCase) -> str:
    """Return the name of the experiment that has a use case's walks."""
    return f"{use_case.name}.walk_forward"


def log_weeks(use_case: UseCase, walk: WalkRecord, weeks: Sequence[WeekRecord]) -> int:
    """Log the weeks of a walk that MLflow lacks; return how many. If it does not answer they are logged next time."""
    if not tracking_reachable():
        log.warning("MLflow does not answer: the weeks of walk %s are logged with the next one", walk.name)
        return 0
    try:
        with tracking_errors("the walk cannot be logged", where=use_case.name):
            return _log_missing(use_case, walk, weeks)
    except MLForgeError as error:
        log.warning("%s; they are logged with the next week", error)
        return 0


def _log_missing(use_case: UseCase, walk: WalkRecord, weeks: Sequence[WeekRecord]) -> int:
    configure_tracking()
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = _experiment(client, experiment_name(use_case))
    parents, logged = _logged(client, experiment, walk)
    missing = [week for week in weeks if week.walk_week_id not in logged]
    for week in missing:
        if week.policy not in parents:
            tags = {_WALK: walk.name, _POLICY: week.policy}
            run = client.create_run(experiment, run_name=f"{walk.name} {week.policy}", tags=tags)
            parents[week.policy] = run.info.run_id
        _log_week(client, experiment, walk, week, parents[week.policy])
    for policy in {week.policy for week in missing}:
        client.set_terminated(parents[policy])
    return len(missing)


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    assert found is not None  # noqa: S101 - it exists by now
    return str(found.experiment_id)


def _logged(client: MlflowClient, experiment: str, walk: WalkRecord) -> tuple[dict[str, str], set[int]]:
    """Return each policy's run of a walk, and the ledger rows that have a finished run."""
    parents: dict[str, str] = {}
    rows: set[int] = set()
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{_WALK}` = '{walk.name}'", max_results=_MOST, page_token=token)
        for run in page:
            tags = run.data.tags
            if _ROW not in tags:
                parents[tags[_POLICY]] = run.info.run_id
            elif run.info.status == "FINISHED":
                rows.add(int(tags[_ROW]))
            elif run.info.status == "RUNNING":
                # Whoever logged it was killed; the week is logged again.
                client.set_terminated(run.info.run_id, status="KILLED")
        token = page.token
        if not token:
            return parents, rows


def _log_week(client: MlflowClient, experiment: str, walk: WalkRecord, week: WeekRecord, parent: str) -> None:
    from mlflow.entities import Metric, Param

    moment, recorded = (_milliseconds(each) for each in (datetime.combine(week.week, time(), UTC), week.recorded_at))
    tags = {_WALK: walk.name, _POLICY: week.policy, _ROW: str(week.walk_week_id), _PARENT: parent}
    begun = recorded - int(week.seconds * 1000)
    run = client.create_run(experiment, start_time=begun, run_name=f"{week.week} {week.policy}", tags=tags)
    values = {**week.metrics, walk.metric: week.value, "seconds": week.seconds, "trained": float(week.trained)}
    params = {"policy": week.policy, "week": week.week, "trained_as_of": week.as_of.date(), "rows": week.training_rows}
    # A place on the axis for each week, so that a policy's run shows its metric over time.
    step = (week.week - walk.first_week).days // 7
    points = [Metric(name, value, moment, step) for name, value in values.items()]
    client.log_batch(parent, metrics=points)
    client.log_batch(run.info.run_id, points, [Param(name, str(value)) for name, value in params.items()])
    client.set_terminated(run.info.run_id, end_time=recorded)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
