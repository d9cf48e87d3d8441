"""A backfill of daily partitions of the data chain through Airflow, beside the same functions in one process."""

from __future__ import annotations

import os
import subprocess
import time

from database import database
from figures import MLFORGE, Figure, installation, show

DAYS = "2013-01-01..2013-03-31"
OTHER_CHAINS = ("training", "release", "monitoring", "refresh")


def measure(days: str = DAYS) -> list[Figure]:
    with database():
        alone = _in_one_process(days)
    with installation() as environment:
        subprocess.run([MLFORGE, "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
        before = dict(os.environ)
        os.environ.update(environment)
        through_airflow = _through_airflow(days)
        os.environ.clear()
        os.environ.update(before)
    return [
        Figure(f"a backfill of {days} through Airflow", through_airflow, "s", "", f"one process {alone:.0f} s"),
        Figure("its ratio to the same functions in one process", through_airflow / alone, "", "≤ 2"),
    ]


def _in_one_process(key: str) -> float:
    from dataclasses import replace

    from mlforge import stages
    from mlforge.features import apply_features
    from mlforge.features.store import close_store
    from mlforge.spec import load_use_case

    use_case = load_use_case("flight_delays")
    apply_features(use_case)
    begun = time.perf_counter()
    for day in use_case.partitions(key):
        run = stages.StageRun(use_case, day)
        for dataset in use_case.datasets:
            each = replace(run, dataset=dataset)
            stages.publish(each, stages.check(each, stages.extract(each)))
        stages.materialize(run, stages.build_features(run))
    seconds = time.perf_counter() - begun
    close_store()
    return seconds


def _through_airflow(key: str) -> float:
    from mlforge.demo.orchestrator import Orchestrator
    from mlforge.settings import Settings
    from mlforge.spec import load_use_case

    airflow = Orchestrator(Settings())
    airflow.wait_for_dags(["flight_delays.data"])
    # What the runs' events would start competes for the same cores, and is no part of the backfill.
    for chain in OTHER_CHAINS:
        airflow.call("PATCH", f"/dags/flight_delays.{chain}", json={"is_paused": True})
    begun = time.perf_counter()
    airflow.backfill("flight_delays.data", load_use_case("flight_delays").partitions(key), 3600)
    return time.perf_counter() - begun


if __name__ == "__main__":
    show(measure())
