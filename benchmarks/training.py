"""Nightly training beside a bare script that makes the same XGBoost calls, in turns.

Ours is what the tasks of the training chain do: the search is planned, its workers share the study in PostgreSQL, the
best is chosen, trained, logged to MLflow and registered. The bare script gets the matrices in files and the parameters
of these very trials, fits as many folds of each, with as many processes and threads, and the model that comes out has
to be the same to the byte. Libraries are imported before either clock starts, as Airflow's executor does it.
"""

from __future__ import annotations

import argparse
import configparser
import importlib
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from database import database
from figures import Figure, median, processor_seconds, show
from tracking_server import tracking_server

ROWS, TRIALS, TURNS = 300_000, 30, 1
# Workers × threads of the bare script, and what threads do while they wait.
LAYOUTS = ((2, 1, "PASSIVE"), (1, 2, "PASSIVE"), (2, 1, "ACTIVE"), (1, 2, "ACTIVE"), (2, 2, "PASSIVE"))


def measure(rows: int = ROWS, trials: int = TRIALS, turns: int = TURNS, keep: str | None = None) -> list[Figure]:
    """Return the figures.

    Args:
        rows: Of the training set.
        trials: Budget of the search.
        turns: How often both are measured, each time with another search.
        keep: Folder in which the last turn's matrices and trials are left for `bare_training.py`.
    """
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as all services and tasks have it
    preload()
    with database(), tracking_server():
        from training_examples import store_examples

        training_set = store_examples(rows)
        found = [_turn(training_set, trials, turn, keep) for turn in range(turns)]
    return _figures(found, rows, trials)


def preload() -> None:
    """Import what Airflow's executor imports before it forks: a task's process does not pay for it."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(Path(__file__).parents[1] / "airflow.cfg", encoding="utf-8")
    for name in map(str.strip, settings["mlforge"]["preload"].split(",")):
        if name and not name.startswith("airflow."):
            importlib.import_module(name)
    logging.getLogger("great_expectations").setLevel(logging.WARNING)


def _turn(training_set: Any, trials: int, turn: int, keep: str | None) -> dict[str, Any]:
    from training_examples import benchmark_use_case

    use_case = benchmark_use_case(trials, seed=turn + 1)
    before = processor_seconds()
    ours = _ours(use_case, training_set)
    ours["processor"] = processor_seconds() - before
    folder = keep or tempfile.mkdtemp(prefix="mlforge-bench-")
    try:
        write_job(use_case, training_set, ours["planned"].study, ours["tuning"], Path(folder))
        bare = _bare(folder, workers=ours["planned"].workers, threads=1)
    finally:
        if keep is None:
            shutil.rmtree(folder)
    if bare["model"] != ours["model"]:
        raise AssertionError("the bare script's model is another one: they did not make the same calls")
    return {**ours, "bare": bare}


def _ours(use_case: Any, training_set: Any) -> dict[str, Any]:
    """Return the times of the stages of one training, and what came out."""
    from mlforge.training.search import choose_tuning, plan_search

    begun = time.perf_counter()
    planned = plan_search(use_case, training_set)
    workers = [_start(_search, use_case, share) for share in planned.shares]
    searched = [answer() for answer in workers]
    chosen = time.perf_counter()
    tuning = choose_tuning(use_case, planned)
    trained = _start(_train, use_case, tuning)()
    ended = time.perf_counter()
    return {
        **trained,
        "seconds": ended - begun,
        "search": chosen - begun,
        "planned": planned,
        "tuning": tuning,
        "trials": sum(searched),
    }


def _search(use_case: Any, share: Any) -> int:
    from mlforge.training.search import run_trials

    return int(run_trials(use_case, share).rows)


def _train(use_case: Any, tuning: Any) -> dict[str, Any]:
    """Train, and say how long it took, how much of it was reading and fitting, and what the model's hash is."""
    from mlflow import MlflowClient

    from mlforge.models import load_model
    from mlforge.training import train_candidate

    begun = time.perf_counter()
    candidate = train_candidate(use_case, tuning)
    train = time.perf_counter() - begun
    fitted = MlflowClient().get_run(candidate.run_id).data.metrics["system/fit_seconds"]
    model = load_model(use_case, candidate.uri).description.model_sha256
    return {"train": train, "logging": train - fitted, "model": model}


def _start(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start work in a process of its own, as a task has one; return what waits for its result."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def tell() -> None:
        writer.send(work(*arguments))

    process = context.Process(target=tell)
    process.start()
    writer.close()

    def wait() -> Any:
        try:
            return reader.recv()
        except EOFError:
            raise AssertionError(f"{work.__name__} failed; its error is above") from None
        finally:
            process.join()

    return wait


def write_job(use_case: Any, training_set: Any, study: str, tuning: Any, folder: Path) -> None:
    """Write what the bare script needs: each fold's matrices, those of the last fit, and the trials."""
    import numpy as np

    from mlforge.examples import load_examples, split_by_time
    from mlforge.scoring import encode_columns
    from mlforge.training.columns import describe_columns
    from mlforge.training.cross_validation import prepare_folds
    from mlforge.training.estimators.base import SEED
    from mlforge.training.search.summaries import read_trials

    examples = load_examples(use_case, training_set)
    folds = prepare_folds(use_case, examples).folds
    folder.mkdir(parents=True, exist_ok=True)
    for place, fold in enumerate(folds):
        np.savez(
            folder / f"fold{place}.npz",
            **{"train": fold.train.matrix, "train_labels": fold.train.labels},
            **{"stopping": fold.stopping.matrix, "stopping_labels": fold.stopping.labels},
            **{"asked": fold.asked, "asked_labels": fold.labels},
        )
    parts = split_by_time(use_case, examples)
    features, _ = describe_columns(use_case, parts["train"])
    names = [feature.name for feature in features]
    last = {name: encode_columns(features, parts[name].columns(names)) for name in ("train", "validation")}
    np.savez(
        folder / "last.npz",
        **{"train": last["train"], "train_labels": parts["train"].labels},
        **{"stopping": last["validation"], "stopping_labels": parts["validation"].labels},
    )
    job = {
        "fixed": {"objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist"},
        "seed": SEED,
        "stopping_rounds": use_case.training.early_stopping_rounds,
        "folds": [_columns(fold.features) for fold in folds],
        "last": _columns(features),
        "trials": [
            {
                "parameters": trial.parameters,
                "folds": len(trial.losses),
                "chosen": trial.parameters == tuning.parameters,
            }
            for trial in read_trials(study)
        ],
    }
    (folder / "job.json").write_text(json.dumps(job))


def _columns(features: Any) -> dict[str, list[str]]:
    return {
        "names": [feature.name for feature in features],
        "types": ["c" if feature.kind == "category" else "q" for feature in features],
    }


def _bare(folder: str, *, workers: int, threads: int, policy: str = "PASSIVE", last: bool = True) -> dict[str, Any]:
    """Run the bare script; its clock starts when its imports are done."""
    command = [sys.executable, str(Path(__file__).with_name("bare_training.py")), folder]
    options = ["--workers", str(workers), "--threads", str(threads), *([] if last else ["--no-last"])]
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    done = subprocess.run([*command, *options], env=environment, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def _figures(turns: list[dict[str, Any]], rows: int, trials: int) -> list[Figure]:
    from training_examples import FEATURES

    def of(name: str) -> float:
        return median([turn[name] for turn in turns])

    ratio = median([turn["seconds"] / turn["bare"]["seconds"] for turn in turns])
    bare = median([turn["bare"]["seconds"] for turn in turns])
    search = median([turn["search"] / turn["bare"]["search"] for turn in turns])
    processor = median([turn["processor"] / turn["bare"]["processor"] for turn in turns])
    what = f"training: {rows:,} rows × {FEATURES} columns, five folds, {trials} trials"
    beside = f"search {of('search'):.0f} s, last fit and MLflow {of('train'):.0f} s; bare script {bare:.0f} s"
    return [
        Figure(what, of("seconds"), "s", "", beside),
        Figure(
            "the same, as a ratio to the bare script",
            ratio,
            "",
            "≤ 1.30",
            f"the search alone {search:.2f}; processor time {processor:.2f}",
        ),
        Figure("MLflow: a run logged, its model stored and registered", of("logging"), "s", "≤ 2 s"),
    ]


def layouts(folder: str) -> list[Figure]:
    """Return the time of a kept search by processes, threads, and what threads do while they wait."""
    found = []
    for workers, threads, policy in LAYOUTS:
        bare = _bare(folder, workers=workers, threads=threads, policy=policy, last=False)
        what = f"{workers} processes × {threads} threads, OMP_WAIT_POLICY={policy}"
        found.append(Figure(what, bare["search"], "s", "", f"processor {bare['processor']:.1f} s"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--keep", metavar="FOLDER", help="leave matrices and trials there for bare_training.py")
    parser.add_argument("--layouts", metavar="FOLDER", help="measure processes and threads with what was kept there")
    given = parser.parse_args()
    if given.layouts:
        show(layouts(given.layouts))
    else:
        show(measure(given.rows, given.trials, given.turns, given.keep))


if __name__ == "__main__":
    main()
