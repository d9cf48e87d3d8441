"""The demonstration from an empty installation and repeated, the memory of all services, and predictions from it."""

from __future__ import annotations

import json
import subprocess
import time

import serving
from figures import MLFORGE, Figure, installation, show


def measure() -> list[Figure]:
    with installation() as environment:
        first, second = (_demo(environment) for _ in range(2))
        status = subprocess.run([MLFORGE, "status", "--json"], env=environment, check=True, capture_output=True)
        predictions = serving.measure(environment)
    memory = sum(row["memory_bytes"] for row in json.loads(status.stdout)) / 1e9
    return [
        Figure("`mlforge demo` from an empty installation", first / 60, "min", "≤ 6 min"),
        Figure("`mlforge demo` repeated", second / 60, "min", "≤ 2 min"),
        Figure("memory of all services (PSS)", memory, "GB", "≤ 2.5 GB"),
        *predictions,
    ]


def _demo(environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run([MLFORGE, "demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


if __name__ == "__main__":
    show(measure())
