"""The bare script: the XGBoost calls of a search and of the last fit, and nothing else.

It has what a person would have in a notebook: matrices in files, parameters in a list, a pool of processes. By itself:
`python bare_training.py FOLDER --workers 2 --threads 1` runs what `training.py --keep FOLDER` has left there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import xgboost
from figures import processor_seconds
from xgboost.callback import EarlyStopping

_loaded: dict[str, Any] = {}


def load(folder: str, threads: int) -> None:
    """Read the matrices; called once in each process."""
    job = json.loads((Path(folder) / "job.json").read_text())
    folds = [dict(np.load(Path(folder) / f"fold{place}.npz")) for place in range(len(job["folds"]))]
    _loaded.update(job=job, arrays=folds, threads=threads)


def run_trial(number: int) -> tuple[int, list[float], float]:
    """Return a trial's number, its loss on each fold, and the seconds within XGBoost's fits."""
    job, losses, seconds = _loaded["job"], [], 0.0
    trial = job["trials"][number]
    for place in range(trial["folds"]):
        arrays = _loaded["arrays"][place]
        model, took = fit(trial["parameters"], job["folds"][place], arrays)
        seconds += took
        chances = np.clip(model.predict_proba(arrays["asked"])[:, 1], 1e-15, 1 - 1e-15)
        labels = arrays["asked_labels"]
        losses.append(float(-np.mean(labels * np.log(chances) + (1 - labels) * np.log(1 - chances))))
    return number, losses, seconds


def fit(parameters: dict[str, Any], columns: dict[str, Any], arrays: dict[str, Any]) -> tuple[Any, float]:
    """Return a fitted classifier and the seconds it took."""
    job = _loaded["job"]
    model = xgboost.XGBClassifier(
        **{**job["fixed"], **parameters},
        random_state=job["seed"],
        n_jobs=_loaded["threads"],
        enable_categorical=True,
        feature_types=columns["types"],
        callbacks=[EarlyStopping(rounds=job["stopping_rounds"], save_best=True)],
    )
    begun = time.perf_counter()
    model.fit(
        arrays["train"],
        arrays["train_labels"],
        eval_set=[(arrays["stopping"], arrays["stopping_labels"])],
        verbose=False,
    )
    return model, time.perf_counter() - begun


def last_fit(folder: str, best: int, threads: int) -> tuple[str, float]:
    """Return the hash of the model that is fitted last and written to a file, and the seconds of its fit."""
    load(folder, threads)
    job = _loaded["job"]
    model, seconds = fit(job["trials"][best]["parameters"], job["last"], dict(np.load(Path(folder) / "last.npz")))
    booster = model.get_booster()
    booster.feature_names = job["last"]["names"]
    content = bytes(booster.save_raw("ubj"))
    (Path(folder) / "model.ubj").write_bytes(content)
    return hashlib.sha256(content).hexdigest(), seconds


def run(folder: str, workers: int, threads: int, *, last: bool = True) -> dict[str, Any]:
    """Return how long all of it took, from the first process to the file of the model."""
    trials = json.loads((Path(folder) / "job.json").read_text())["trials"]
    processes = multiprocessing.get_context("fork")
    begun, used = time.perf_counter(), processor_seconds()
    with processes.Pool(workers, load, (folder, threads)) as pool:
        found = list(pool.imap_unordered(run_trial, range(len(trials))))
    searched = time.perf_counter() - begun
    fits, digest = sum(seconds for _, _, seconds in found), ""
    if last:
        complete = [each for each in found if len(each[1]) == max(len(losses) for _, losses, _ in found)]
        best = min(complete, key=lambda each: float(np.mean(each[1])))[0]
        best = next((place for place, trial in enumerate(trials) if trial["chosen"]), best)
        # In a process of its own: this one must not start OpenMP before it forks the next pool.
        with processes.Pool(1) as pool:
            digest, seconds = pool.apply(last_fit, (folder, best, threads))
        fits += seconds
    seconds, used = time.perf_counter() - begun, processor_seconds() - used
    return {"seconds": seconds, "search": searched, "fits": fits, "processor": used, "model": digest}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-last", action="store_true", help="leave out the last fit")
    given = parser.parse_args()
    print(json.dumps(run(given.folder, given.workers, given.threads, last=not given.no_last)))
