"""One demonstration, run by the command as a person would, for all end-to-end tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlforge.settings import Settings

MLFORGE = str(Path(sys.executable).with_name("mlforge"))
_DEMO_SECONDS = 900


@dataclass(frozen=True)
class Demonstration:
    """A demonstration that has run; its services are up.

    Attributes:
        settings: Its installation.
        output: What it printed.
    """

    settings: Settings
    output: str


def run_mlforge(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command `mlforge` in this installation and return what it printed."""
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(
        [MLFORGE, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
        check=False,
    )


@pytest.fixture(scope="session")
def demonstration(installation: Settings) -> Iterator[Demonstration]:
    """The demonstration, run once in an empty installation; everything is taken down at the end, also after a kill."""
    reaper = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("reaper.py")), str(installation.home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        done = run_mlforge("demo", seconds=_DEMO_SECONDS)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        yield Demonstration(installation, done.stdout)
    finally:
        reaper.communicate()
