"""One demonstration, run by the command as a person would, for all end-to-end tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demonstration import Demonstration, run_mlforge

from mlforge.settings import Settings

_DEMO_SECONDS = 900


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
