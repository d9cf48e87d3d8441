"""One demonstration, run by the command as a person would, for all end-to-end tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demonstration import MLFORGE, Demonstration, run_mlforge

from installations import new_installation
from mlforge.demo.orchestrator import Orchestrator
from mlforge.errors import MLForgeError
from mlforge.settings import Settings
from processes import wait_until

_DEMO_SECONDS = 900
_START_SECONDS = 420


def interrupt_demo(settings: Settings) -> None:
    """Start a demonstration and kill it while Airflow loads the first three months."""
    process = subprocess.Popen([MLFORGE, "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _loading(settings), seconds=_START_SECONDS)
        assert process.poll() is None, "the demonstration ended before it could be killed"
    finally:
        process.kill()
        process.wait()


def _loading(settings: Settings) -> bool:
    try:
        run = Orchestrator(settings).underway("flight_delays.data", "2013-03-31")
    except MLForgeError:
        return False
    return run is not None and run.state == "running"


@pytest.fixture(scope="session")
def demonstration() -> Iterator[Demonstration]:
    """The demonstration in an empty installation: killed at its first load, then run again to its end.

    Everything is taken down when the tests end, and also when they are killed.
    """
    with new_installation() as settings:
        reaper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reaper.py")), str(settings.home)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            interrupt_demo(settings)
            done = run_mlforge("demo", seconds=_DEMO_SECONDS)
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
            yield Demonstration(settings, done.stdout)
        finally:
            reaper.communicate()
