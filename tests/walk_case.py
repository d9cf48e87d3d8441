"""A use case small enough to walk through in a test, and a process that is killed in the midst of a week.

Run as a program, it walks a week and kills itself at the second model.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlforge.refs import PartitionRange
from mlforge.spec import UseCase, load_use_case

DAYS = PartitionRange.parse("2013-01-01..2013-01-27")
WEEKS = ("2013-01-14", "2013-01-21")


def small_use_case() -> UseCase:
    """Return the flights with a short window, a few trees and an end in January."""
    shipped = load_use_case("flight_delays")
    training = shipped.training.model_copy(
        update={
            "window_days": 10,
            "validation_days": 2,
            "test_days": 1,
            "minimum_rows": 500,
            "parameters": {
                **shipped.training.parameters, "n_estimators": 20, "learning_rate": 0.3, "min_child_weight": 5
            },
        }
    )  # fmt: skip
    schedule = shipped.schedule.model_copy(update={"end": DAYS.last})
    return shipped.model_copy(update={"training": training, "schedule": schedule})


def walk_until_killed(key: str) -> int:
    """Walk a week in a process of its own that kills itself at the second model; return how it ended."""
    command = [sys.executable, str(Path(__file__)), key]
    return subprocess.run(command, env=dict(os.environ), check=False, timeout=300).returncode


def _main(key: str) -> None:
    from mlforge.walk_forward import models, walk

    fit_model, fits = models.fit_model, []

    def fit(*arguments: Any) -> Any:
        fits.append(arguments)
        if len(fits) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return fit_model(*arguments)

    models.fit_model = fit
    walk.run_week(small_use_case(), key)


if __name__ == "__main__":
    _main(sys.argv[1])
