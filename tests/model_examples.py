"""Small made-up flights whose lateness can be learned: quick examples for tests of fitting and folds."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from mlforge.examples import Examples
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.loading import read_use_case

DAYS, PER_DAY = 60, 40
_PLAIN: dict[str, Any] = {"cross_validation": None, "search": None}
CARRIERS = ("AA", "B6", "DL", "UA", "WN")


def small(use_case: UseCase, **training: Any) -> UseCase:
    """Return a use case with other settings of training; few rows are enough."""
    changes = {"minimum_rows": 100, **training}
    changed = use_case.model_copy(update={"training": use_case.training.model_copy(update=changes)})
    changed._folder, changed._contracts = use_case._folder, use_case._contracts
    return changed


def small_flights(**training: Any) -> UseCase:
    """Return flight_delays with quick parameters, without folds and without a search."""
    quick = {"parameters": {"n_estimators": 40, "max_depth": 3, "learning_rate": 0.2}, "absent_views": {}}
    return small(_shipped(), **(quick | _PLAIN | training))


@functools.cache
def _shipped() -> UseCase:
    return load_use_case("flight_delays")


def own_use_case(folder: Path, model: str, *, name: str = "own_flights", **training: Any) -> UseCase:
    """Return a use case like flight_delays with another model.py, in a folder of its own.

    Args:
        folder: An empty one.
        model: Python that is put at the end of the shipped model.py, whose functions it may replace.
        name: Of the use case and its folder.
        training: Settings.
    """
    shipped = _shipped()
    own = folder / name
    shutil.copytree(shipped.folder, own)
    document = yaml.safe_load((own / "use_case.yaml").read_text())
    document["name"] = name
    document["training"] |= {"minimum_rows": 100, "parameters": {}, "absent_views": {}, **_PLAIN, **training}
    (own / "use_case.yaml").write_text(yaml.safe_dump(document))
    with (own / "model.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{model}")
    return read_use_case(own)


def small_examples(*, days: int = DAYS, seed: int = 0) -> Examples:
    """Return 40 flights a day with gaps in their numbers and categories; about a quarter are late."""
    generator = np.random.default_rng(seed)
    rows = days * PER_DAY
    carrier = generator.integers(0, len(CARRIERS), rows)
    temp = generator.normal(10, 8, rows)
    hour = generator.integers(5, 23, rows)
    odds = -2.2 + 0.4 * carrier + 0.1 * (hour - 12) - 0.08 * (temp - 10)
    late = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    weight = generator.uniform(0.5, 2.0, rows)
    table = pa.table(
        {
            "carrier": [CARRIERS[code] for code in carrier],
            "origin": [("EWR", "JFK", None)[code] for code in generator.integers(0, 3, rows)],
            "dest": [f"D{code:02}" for code in generator.integers(0, 30, rows)],
            "sched_hour": hour,
            "sched_minute": generator.integers(0, 60, rows),
            "weekday": np.arange(rows) // PER_DAY % 7,
            "weather__temp": pa.array(np.where(generator.random(rows) < 0.1, np.nan, temp), from_pandas=True),
            "weight": weight,
        }
    )
    times = np.datetime64("2013-01-01", "us") + np.sort(generator.integers(0, days * 86_400, rows)) * np.timedelta64(
        1, "s"
    )
    return Examples(table, late, times)


def with_column(examples: Examples, name: str, values: Any) -> Examples:
    """Return the examples with a column added or replaced."""
    table = examples.table
    if name in table.column_names:
        table = table.drop_columns([name])
    return Examples(table.append_column(name, pa.array(values)), examples.labels, examples.times)
