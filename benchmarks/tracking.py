"""What MLflow costs a training: the requests of one run against MLflow on PostgreSQL, beside stock `log_model`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from database import database
from figures import Figure, median, show
from tracking_server import tracking_server

RUNS, TRIALS = 3, 30
NAME = "tracked_delays"

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def measure() -> list[Figure]:
    with database(), tracking_server():
        return _measure()


def _measure() -> list[Figure]:
    from flight_examples import make_training_set
    from mlforge.spec import load_use_case

    loaded = load_use_case("flight_delays")
    changed = loaded.training.model_copy(update={"minimum_rows": 100})
    use_case = loaded.model_copy(update={"name": NAME, "training": changed})
    sets = [make_training_set(use_case, last=f"2013-03-{day:02d}") for day in range(20, 21 + RUNS)]
    taken = [_logging_seconds(use_case, training_set) for training_set in sets]
    # The first one imports MLflow's flavour and matplotlib, which a worker has imported before it forks.
    total, fit, scores = (median([each[part] for each in taken[1:]]) for part in ("total", "fit", "scores"))
    stock = _stock_seconds(use_case, sets[0])
    beside = (
        f"model and version {fit:.2f} s, scores and plots {scores:.2f} s; stock log_model and register {stock:.1f} s"
    )
    return [
        Figure("MLflow logging of a run, with its plots", total, "s", "≤ 2 s", beside),
        Figure(f"{TRIALS} trials as nested runs", _trials_seconds(), "s", "≤ 2 s"),
    ]


def _logging_seconds(use_case: Any, training_set: Any) -> dict[str, float]:
    """Return the seconds that a training and its evaluation spend on MLflow, plots included, fits and scores not."""
    from mlforge import training
    from mlforge.training import evaluate, train

    spent: dict[str, float] = {}
    with _timed(train, "fit_model", spent), _timed(train, "load_examples", spent):
        begun = time.perf_counter()
        candidate = training.train_candidate(use_case, training_set)
        fit = time.perf_counter() - begun - sum(spent.values())
    logged: dict[str, float] = {}
    with _timed(evaluate, "draw_evaluation", logged), _timed(evaluate, "log_evaluation", logged):
        training.evaluate_candidate(use_case, candidate)
    scores = sum(logged.values())
    return {"fit": fit, "scores": scores, "total": fit + scores}


@contextlib.contextmanager
def _timed(module: Any, name: str, spent: dict[str, float]) -> Iterator[None]:
    function: Callable[..., Any] = getattr(module, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun

    setattr(module, name, timed)
    try:
        yield
    finally:
        setattr(module, name, function)


def _stock_seconds(use_case: Any, training_set: Any) -> float:
    """Return the seconds of MLflow's own calls as its guide has them, requirements inferred."""
    import mlflow
    import pandas as pd

    from mlforge.examples import load_examples
    from mlforge.training.fitting import fit_model

    fitted = fit_model(use_case, load_examples(use_case, training_set))
    example = pd.DataFrame(fitted.example, columns=[feature.name for feature in fitted.description.features])
    mlflow.set_experiment("stock")
    begun = time.perf_counter()
    with mlflow.start_run():
        mlflow.log_params(dict(fitted.plan.parameters))
        mlflow.log_metrics(fitted.metrics)
        mlflow.xgboost.log_model(
            fitted.fitted.estimator, name="stock", input_example=example, registered_model_name="stock"
        )
    return time.perf_counter() - begun


def _trials_seconds() -> float:
    from mlflow import MlflowClient

    from mlforge.training.search import TrialSummary
    from mlforge.training.tracking import log_trials

    client = MlflowClient()
    run = client.create_run(client.get_experiment_by_name(NAME).experiment_id)
    trials = [
        TrialSummary(number, "complete", "own", {"max_depth": 3, "learning_rate": 0.1}, 0.5, (0.4, 0.5, 0.6), 1.0)
        for number in range(TRIALS)
    ]
    begun = time.perf_counter()
    log_trials(run, "study:benchmark", trials)
    return time.perf_counter() - begun


if __name__ == "__main__":
    show(measure())
