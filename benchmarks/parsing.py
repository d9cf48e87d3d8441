"""How long each DAG file takes to parse, as Airflow's processor does it: a fork of a warm process for each file."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from figures import Figure, median, show

ROOT = Path(__file__).parents[1]
RUNS = 5


def parse(path: str, answer: Connection) -> None:
    from airflow.dag_processing.dagbag import DagBag

    begun = time.perf_counter()
    bag = DagBag(dag_folder=path)
    answer.send((time.perf_counter() - begun, bag.import_errors))


def parse_in_fork(path: Path) -> float:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=parse, args=(str(path), sender))
    process.start()
    sender.close()
    seconds, errors = receiver.recv()
    process.join()
    if errors:
        raise SystemExit(f"{path}: {errors}")
    return float(seconds)


def measure() -> list[Figure]:
    import airflow.dag_processing.dagbag
    import airflow.sdk  # noqa: F401

    figures = []
    for path in sorted((ROOT / "dags").glob("*.py")):
        value = median([parse_in_fork(path) for _ in range(RUNS)])
        figures.append(Figure(f"parse `dags/{path.name}`", value, "s", "≤ 1 s"))
    return figures


if __name__ == "__main__":
    show(measure())
