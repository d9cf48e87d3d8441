"""What the benchmark of small tasks runs: ten trivial tasks in a row, and ten that use heavy libraries."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, chain, task

START = pendulum.datetime(2013, 1, 1, tz="UTC")


@task
def trivial() -> None:
    """Do nothing."""


@task
def heavy() -> float:
    """Use Feast, MLflow and XGBoost a little, and return the seconds that this took after their import."""
    import time

    import feast  # noqa: F401
    import mlflow  # noqa: F401
    import numpy as np
    import xgboost as xgb

    begun = time.perf_counter()
    data = xgb.DMatrix(np.arange(100, dtype=np.float32).reshape(50, 2), label=np.arange(50) % 2)
    xgb.train({"nthread": 1}, data, num_boost_round=2)
    return time.perf_counter() - begun


with DAG("bench_trivial", schedule=None, start_date=START, catchup=False):
    chain(*(trivial.override(task_id=f"trivial_{index}")() for index in range(10)))

with DAG("bench_heavy", schedule=None, start_date=START, catchup=False):
    chain(*(heavy.override(task_id=f"heavy_{index}")() for index in range(10)))
