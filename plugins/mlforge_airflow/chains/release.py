"""package → verify → roll_out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG, PartitionedAssetTimetable

from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.chains.frame import act_live_param, chain_dag
from mlforge_airflow.operators.serving import PackageReleaseOperator, RollOutReleaseOperator, VerifyReleaseOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Brings the champion behind the gateway without failing a request.

- **It starts** when there is a new champion; or by hand, with the newest partition key or with `act_live`.
- **verify** starts the new server without traffic. Its answers to real requests must agree with offline scores.
- **roll_out** moves the traffic; the old server finishes what it has begun.

It always takes the champion of the release ledger, so running it again brings the present champion back.
"""


def release_chain(use_case: UseCase) -> DAG:
    """Return the DAG that packages, verifies and rolls out the champion."""
    name = use_case.name
    dag = chain_dag(
        use_case,
        "release",
        description="the champion, packaged, verified and behind the gateway",
        doc=_DOC,
        schedule=PartitionedAssetTimetable(assets=use_case_asset(name, "champion")),
        max_active_runs=1,
        params={"act_live": act_live_param()},
    )
    with dag:
        package = PackageReleaseOperator(task_id="package", use_case=name)
        verify = VerifyReleaseOperator(task_id="verify", use_case=name, release=package.output)
        RollOutReleaseOperator(
            task_id="roll_out",
            use_case=name,
            release=verify.output,
            outlets=[use_case_asset(name, "deployment")],
        )
    return dag
