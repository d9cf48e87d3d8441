"""build_features → materialize, for partitions whose input has changed since they were built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG, PartitionedAssetTimetable

from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.chains.frame import chain_dag, range_params
from mlforge_airflow.operators.features import BuildFeaturesOperator, MaterializeFeaturesOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Builds the features of a partition again when what they were computed from has changed: rows that were corrected or
came late, a day that was published after the days that look back at it.

- **It starts** for each partition that *mark_stale* in the data chain names. To see them:
  `mlforge features stale {name}`.
- **By hand:** trigger it with a partition key, or with the first and the last day of a range and the key of its last
  day. Airflow itself backfills only DAGs with a clock; a range does here what a backfill does there.
- **What is not stale is left alone**, so a run too many costs a second and changes nothing.
- **Online**, a value that is newer stays. Nothing that is live is touched.

What follows: the asset `features` lets *monitoring* look at the partition again, as after the data chain: the report
is made anew, and its alert, being live, is skipped unless the partition is the newest one.
"""


def refresh_chain(use_case: UseCase) -> DAG:
    """Return the DAG that builds the features of a stale partition again."""
    name = use_case.name
    dag = chain_dag(
        use_case,
        "refresh",
        description="features of partitions whose input has changed",
        doc=_DOC.format(name=name),
        schedule=PartitionedAssetTimetable(assets=use_case_asset(name, "stale")),
        max_active_runs=2,
        params={**range_params()},
    )
    with dag:
        build = BuildFeaturesOperator(task_id="build_features", use_case=name)
        MaterializeFeaturesOperator(
            task_id="materialize",
            use_case=name,
            built=build.output,
            outlets=[use_case_asset(name, "features")],
            # Feast writes one range of a view at a time.
            max_active_tis_per_dag=1,
        )
    return dag
