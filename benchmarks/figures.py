"""Figures of a benchmark: medians, with the goal and the peer beside them."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MLFORGE = str(Path(sys.executable).with_name("mlforge"))


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    goal: str
    beside: str = ""

    def row(self) -> str:
        return f"| {self.what} | {self.value:.2f} {self.unit} | {self.goal} | {self.beside} |"


def median(values: list[float]) -> float:
    return statistics.median(values)


def show(figures: list[Figure]) -> None:
    print("| what | median | goal | beside |")
    print("|---|---|---|---|")
    for figure in figures:
        print(figure.row())


def processor_seconds() -> float:
    """Return what this process and those that it has waited for took of the cores."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in each)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def installation(**extra: str) -> Iterator[dict[str, str]]:
    """Give the environment of an empty installation on free ports; taken down and removed at the end."""
    home = tempfile.mkdtemp(prefix="mlforge-bench-")
    Path(home).chmod(0o711)
    ports = {
        f"MLFORGE_{name}_PORT": str(free_port())
        for name in ("POSTGRES", "AIRFLOW", "MLFLOW", "GATEWAY", "GATEWAY_ADMIN")
    }
    environment = {**os.environ, **ports, "MLFORGE_HOME": home, **extra}
    try:
        yield environment
    finally:
        subprocess.run([MLFORGE, "down"], env=environment, check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)
