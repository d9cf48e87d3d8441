"""A packaged release of `flight_delays` with a small model of its own, in a real ledger."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mlforge.refs import Release
from mlforge.settings import get_settings
from mlforge.spec import UseCase

FEATURES: list[dict[str, Any]] = [
    {"name": "carrier", "kind": "category", "categories": ["UA", "AA", "B6"]},
    {"name": "origin", "kind": "category", "categories": ["EWR", "JFK", "LGA"]},
    {"name": "dest", "kind": "category", "categories": ["IAH", "MIA"]},
    {"name": "sched_hour", "kind": "number"},
    {"name": "weekday", "kind": "number"},
    {"name": "weather__wind_speed", "kind": "number"},
]


def write_model(folder: Path, *, seed: int = 1) -> Path:
    """Write a small model as MLflow's xgboost flavour lays it out."""
    import xgboost

    generator = np.random.default_rng(seed)
    matrix = generator.integers(0, 3, size=(400, len(FEATURES))).astype(np.float32)
    label = (matrix.sum(axis=1) + generator.normal(size=400) > 6).astype(float)
    data = xgboost.DMatrix(matrix, label=label)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "seed": seed}, data, num_boost_round=20)
    folder.mkdir(parents=True)
    booster.save_model(folder / "model.ubj")
    description = {
        "features": FEATURES,
        "calibration": {"method": "platt", "slope": 1.0, "intercept": 0.0},
        "labels": ["on_time", "late"],
    }
    (folder / "MLmodel").write_text(yaml.safe_dump({"metadata": {"mlforge": description}}), encoding="utf-8")
    return folder
