"""Searches that take seconds: real flights of one month, few trees; and a worker as a process of its own.

`python search_cases.py` plans a search and runs trials, as a mapped task does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlforge.refs import TrainingSet
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.search import CrossValidation, Search
from mlforge.training.search import plan_search, run_trials, storage

FEW_TREES = {"n_estimators": 15, "learning_rate": 0.2, "max_depth": 3}


def small_use_case(folder: Path | None = None, model: str | None = None, **training: Any) -> UseCase:
    """Return the flights' use case with three short folds, few trees and a search of six trials.

    Args:
        folder: Where a copy of its folder goes, for a model.py of its own.
        model: What is added at the end of model.py.
        training: Other values of `training`.
    """
    shipped = load_use_case("flight_delays")
    values = {
        "minimum_rows": 100,
        "window_days": 30,
        "validation_days": 4,
        "test_days": 4,
        "early_stopping_rounds": 5,
        "absent_views": {},
        "parameters": FEW_TREES,
        "cross_validation": CrossValidation(folds=3, days=4),
        "search": Search(trials=6),
        **training,
    }
    use_case = shipped.model_copy(update={"training": shipped.training.model_copy(update=values)})
    if folder is not None:
        copied = folder / "flight_delays"
        shutil.copytree(shipped.folder, copied)
        (copied / "model.py").write_text((copied / "model.py").read_text(encoding="utf-8") + (model or ""), "utf-8")
        use_case._folder = copied
    return use_case


def small_training_set(use_case: UseCase, last: str = "2013-03-31", **columns: Any) -> TrainingSet:
    """Store the training set of the month before a day, with other columns if asked for."""
    from flight_examples import feature_frame, make_training_set

    if not columns:
        return make_training_set(use_case, last=last, days=30)
    frame = feature_frame()
    frame = frame[frame["event_timestamp"].between(f"{last[:8]}01", f"{last}T23:59:59Z")].copy()
    for name, values in columns.items():
        frame[name] = values(frame)
    return make_training_set(use_case, last=last, frame=frame)


def start_worker(
    training_set: TrainingSet, *, trials: int, heartbeat: tuple[int, int] = (5, 60)
) -> subprocess.Popen[str]:
    """Start a process that plans a search of so many trials and works on it.

    It prints the study's name at once, and at its end how many trials it has run.
    """
    given = {"training_set": training_set.dump(), "trials": trials, "heartbeat": heartbeat}
    command = [sys.executable, __file__, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _work(given: dict[str, Any]) -> None:
    storage.HEARTBEAT_SECONDS, storage.GRACE_SECONDS = given["heartbeat"]
    case = small_use_case(search=Search(trials=given["trials"]))
    planned = plan_search(case, TrainingSet.load(given["training_set"]))
    # At once, so that a test can look at the study while it is worked on.
    sys.stdout.write(planned.study + "\n")
    sys.stdout.flush()
    sys.stdout.write(str(run_trials(case, planned).rows))


if __name__ == "__main__":
    _work(json.loads(sys.argv[1]))
