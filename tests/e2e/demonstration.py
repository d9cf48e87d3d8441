"""The demonstration that the end-to-end tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mlforge.settings import Settings

MLFORGE = str(Path(sys.executable).with_name("mlforge"))


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
