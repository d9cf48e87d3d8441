"""join_outcomes → assemble_partition → drift → alert, request_training; reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG, PartitionedAssetTimetable

from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.chains.frame import act_live_param, chain_dag
from mlforge_airflow.operators.features import AssemblePartitionOperator
from mlforge_airflow.operators.monitoring import JoinOutcomesOperator, MeasureDriftOperator, RaiseAlertsOperator
from mlforge_airflow.operators.registry import ReconcileReleasesOperator
from mlforge_airflow.operators.training import RequestTrainingOnDriftOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Compares the newest days with what the champion was trained on, and its predictions with what happened.

- **It starts** when a {period}'s features are there, in a backfill too; or by hand, with a partition key.
- **It looks at {window} days** together, up to the partition; after a range load at the last {window} of the range.
- **Before the first champion** everything is skipped: there is nothing to compare with.
- **alert** is live: an older {period}, and a backfill, make a report but no alert.
- **request_training** is live too. It asks for a training when one helps: when enough columns have drifted, or when the
  champion's answers are no better than their mean; unless the data chain has asked for one with this {period} already.
- **reconcile** is live as well. It lets MLflow show the champion of the release ledger, whatever was changed by hand.
"""


def monitoring_chain(use_case: UseCase) -> DAG:
    """Return the DAG that measures drift and performance of a partition and raises alerts."""
    name = use_case.name
    dag = chain_dag(
        use_case,
        "monitoring",
        description=f"drift and performance of a {use_case.schedule.period}",
        doc=_DOC.format(period=use_case.schedule.period, window=use_case.monitors.window_days),
        schedule=PartitionedAssetTimetable(assets=use_case_asset(name, "features")),
        max_active_runs=2,
        params={"act_live": act_live_param()},
    )
    with dag:
        join = JoinOutcomesOperator(task_id="join_outcomes", use_case=name)
        assemble = AssemblePartitionOperator(task_id="assemble_partition", use_case=name)
        drift = MeasureDriftOperator(task_id="drift", use_case=name, current=assemble.output)
        alert = RaiseAlertsOperator(task_id="alert", use_case=name, report=drift.output)
        request = RequestTrainingOnDriftOperator(
            task_id="request_training",
            use_case=name,
            report=drift.output,
            outlets=[use_case_asset(name, "training_request")],
        )
        join >> assemble >> drift >> [alert, request]
        # Beside the others: drift is measured when MLflow is down, too.
        ReconcileReleasesOperator(task_id="reconcile", use_case=name)
    return dag
