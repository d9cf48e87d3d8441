"""A correction of an old day, through the running Airflow: the days that read it are built again, and nothing else."""

from __future__ import annotations

import pytest
from demonstration import Demonstration, run_mlforge

from mlforge import db
from mlforge.demo.orchestrator import Orchestrator
from mlforge.features.stale import stale_partitions
from mlforge.spec import load_use_case

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

USE_CASE = "flight_delays"


def test_a_released_row_makes_its_day_stale_and_airflow_refreshes_it(demonstration: Demonstration) -> None:
    with db.connect() as connection:
        [(key, rule)] = connection.execute(
            "SELECT partition_key, rules[1] FROM quarantine.rows WHERE (row ->> 'wind_speed')::float > 1000"
        ).fetchall()
    why = ("--why", "the anemometer was struck")
    released = run_mlforge("quarantine", "release", USE_CASE, "weather", key, "--as-is", "--rule", rule, *why)
    assert released.returncode == 0, released.stderr
    airflow = Orchestrator(demonstration.settings)
    before = airflow.last_run_id(f"{USE_CASE}.refresh")
    built = _builds(key)
    # Any run of the data chain tells what has become stale meanwhile.
    airflow.wait(airflow.trigger(f"{USE_CASE}.data", "2013-03-20"), 300)
    refresh = airflow.next_run(f"{USE_CASE}.refresh", key, before, 120)
    airflow.wait(refresh, 300)
    assert _builds(key) > built
    assert stale_partitions(load_use_case(USE_CASE)) == []


def _builds(key: str) -> int:
    with db.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM ledger.feature_publications WHERE use_case = %s AND view = 'weather'"
            " AND partition_key = %s",
            [USE_CASE, key],
        ).fetchone()
    return int(row[0]) if row else 0
