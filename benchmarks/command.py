"""`mlforge --help` as a whole process, in turns with a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time

from figures import MLFORGE, Figure, median, show

RUNS = 11


def seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure() -> list[Figure]:
    times: list[float] = []
    bare: list[float] = []
    for _ in range(RUNS):
        times.append(seconds([MLFORGE, "--help"]))
        bare.append(seconds([sys.executable, "-c", "import typer, rich"]))
    beside = f"`import typer, rich` {median(bare):.2f} s"
    return [Figure("`mlforge --help`", median(times), "s", "≤ 0.5 s", beside)]


if __name__ == "__main__":
    show(measure())
