"""extract → check_contract → publish, per dataset; then build_features → materialize → request_training; mark_stale."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow.sdk import DAG, CronPartitionTimetable, TaskGroup

from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.chains.frame import act_live_param, chain_dag, range_params
from mlforge_airflow.operators.contracts import CheckPartitionOperator
from mlforge_airflow.operators.features import BuildFeaturesOperator, MaterializeFeaturesOperator
from mlforge_airflow.operators.ingest import ExtractPartitionOperator, PublishPartitionOperator
from mlforge_airflow.operators.stale import MarkStaleOperator
from mlforge_airflow.operators.training import RequestTrainingOperator
from mlforge_airflow.operators.waiting import WaitForPartitionOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Takes one {period} of every dataset from its source to the online store.

- **When a {period} has ended** it runs for it; the *partition key* is the first day of the {period}, such as `{start}`.
- **By hand:** trigger it with a partition key, which the form has under *Advanced Options*. For many {period}s at
  once, as in a first load, set the first and the last one of the range too, and give as the key the last one: the
  range goes through the same tasks in bulk.
- **Backfill:** start one in Airflow for any {period}s. Nothing that is live changes by it.

A dataset that may be late has a task `wait_for_data`, which holds no worker; at its deadline it alerts and fails.

Running a {period} again is safe: the same rows give the same content, and nothing is published twice.

What follows: the asset `features` starts *monitoring*; `request_training` starts *training*, for the newest {period}
only{at}, and only when something has changed since it was asked for last; `mark_stale` starts *refresh* for {period}s
built before that look back at what has changed.
"""


def data_chain(use_case: UseCase) -> DAG:
    """Return the DAG that carries a partition from its sources to the online store."""
    schedule, last_day = use_case.schedule, use_case.last_day
    dag = chain_dag(
        use_case,
        "data",
        description=f"a {schedule.period} from its sources to the online store",
        doc=_DOC.format(period=schedule.period, start=schedule.start, at=_asking_time(use_case)),
        schedule=CronPartitionTimetable(schedule.cron, timezone="UTC", key_format="%Y-%m-%d", run_offset=-1),
        start_date=_midnight(schedule.start),
        # A partition's run is due when it has ended.
        end_date=_midnight(last_day + dt.timedelta(days=schedule.step_days)) if last_day else None,
        max_active_runs=4,
        params={**range_params(), "act_live": act_live_param("Ask for a training even when nothing has changed.")},
    )
    name = use_case.name
    with dag:
        build = BuildFeaturesOperator(task_id="build_features", use_case=name)
        mark = MarkStaleOperator(
            task_id="mark_stale",
            use_case=name,
            outlets=[use_case_asset(name, "stale")],
            # What one dataset has published makes others stale, even when another one failed.
            trigger_rule="all_done",
        )
        for dataset in use_case.datasets:
            _publish_group(use_case, dataset) >> [build, mark]
        materialize = MaterializeFeaturesOperator(
            task_id="materialize",
            use_case=name,
            built=build.output,
            outlets=[use_case_asset(name, "features")],
            # Feast writes one range of a view at a time.
            max_active_tis_per_dag=1,
        )
        request = RequestTrainingOperator(
            task_id="request_training", use_case=name, outlets=[use_case_asset(name, "training_request")]
        )
        materialize >> request
    return dag


def _asking_time(use_case: UseCase) -> str:
    retraining = use_case.retraining
    return "" if retraining.at is None else f", from {retraining.at:%H:%M} {retraining.timezone} when it is scheduled"


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _publish_group(use_case: UseCase, dataset: str) -> TaskGroup:
    name = use_case.name
    with TaskGroup(dataset, tooltip=f"{dataset}: from the source to the warehouse") as group:
        extract = ExtractPartitionOperator(task_id="extract", use_case=name, dataset=dataset)
        if use_case.dataset(dataset).source.wait is not None:
            WaitForPartitionOperator(task_id="wait_for_data", use_case=name, dataset=dataset) >> extract
        check = CheckPartitionOperator(task_id="check_contract", use_case=name, raw=extract.output)
        PublishPartitionOperator(
            task_id="publish",
            use_case=name,
            checked=check.output,
            outlets=[use_case_asset(name, f"published/{dataset}")],
        )
    return group
