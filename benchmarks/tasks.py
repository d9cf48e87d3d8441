"""Small tasks through the running scheduler, from queued to done."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

from figures import MLFORGE, Figure, installation, median, show

DAGS = Path(__file__).parent / "dags"


def measure() -> list[Figure]:
    with installation(AIRFLOW__CORE__DAGS_FOLDER=str(DAGS)) as environment:
        subprocess.run([MLFORGE, "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
        os.environ.update(environment)
        return [_trivial(), _heavy()]


def _run(dag_id: str) -> list[dict[str, str]]:
    from mlforge.demo.orchestrator import Orchestrator, Run
    from mlforge.settings import Settings

    airflow = Orchestrator(Settings())
    airflow.wait_for_dags([dag_id])
    body = airflow.call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None})
    run = airflow.wait(Run.of(body), 300)
    return list(airflow.call("GET", f"/dags/{dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"])


def _seconds(task: dict[str, str], begin: str) -> float:
    return (datetime.fromisoformat(task["end_date"]) - datetime.fromisoformat(task[begin])).total_seconds()


def _trivial() -> Figure:
    tasks = _run("bench_trivial")
    return Figure(
        "a trivial task, queued to done", median([_seconds(task, "queued_when") for task in tasks]), "s", "≤ 0.6 s"
    )


def _heavy() -> Figure:
    tasks = _run("bench_heavy")
    value = median([_seconds(task, "queued_when") for task in tasks])
    return Figure("a task that uses feast, mlflow and xgboost, queued to done", value, "s", "≤ 1 s above its work")


if __name__ == "__main__":
    show(measure())
