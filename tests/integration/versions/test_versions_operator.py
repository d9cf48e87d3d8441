from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flight_sources import ask
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.stages import StageRun

pytestmark = pytest.mark.integration

# Airflow writes a configuration file to its home at its first import.


def test_an_operator_makes_a_version_of_its_run(
    publish: Callable[..., UseCase], new_repository: Path, flight_delays: UseCase
) -> None:
    from mlforge_airflow.operators.versions import CreateDatasetVersionOperator

    publish()
    operator = CreateDatasetVersionOperator(
        task_id="version", use_case="flight_delays", dataset="flights", note="nightly"
    )
    run = StageRun(use_case=flight_delays, days=PartitionRange.parse("2013-04-03"), run_id="dag/run", who="ann")
    ref = operator.run_stage(run)
    assert (ref.uri, ref.partition_key) == ("dataset-version:flight_delays/flights/v1", "2013-04-03")
    assert operator.run_stage(run) == ref
    assert ask("SELECT run_id, note FROM ledger.dataset_versions") == [("dag/run", "nightly")]
