"""Real flights of January with their features, and a small model: enough for a walk of two weeks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flight_warehouse import fill_warehouse
from mlforge import db
from mlforge.features import apply_features, build_features, close_store
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case

DAYS = PartitionRange.parse("2013-01-01..2013-01-27")


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    """The shipped use case with a short window, a few trees and an end in January."""
    shipped = load_use_case("flight_delays")
    training = shipped.training.model_copy(
        update={
            "window_days": 10,
            "validation_days": 2,
            "test_days": 1,
            "minimum_rows": 500,
            "parameters": {**shipped.training.parameters, "n_estimators": 20, "learning_rate": 0.2},
        }
    )
    schedule = shipped.schedule.model_copy(update={"end": DAYS.last})
    return shipped.model_copy(update={"training": training, "schedule": schedule})


@pytest.fixture(scope="module")
def january(module_database: Settings, use_case: UseCase) -> Iterator[UseCase]:
    """The use case, whose features of January are built."""
    close_store()
    apply_features(use_case)
    fill_warehouse(use_case, DAYS)
    with db.connect() as connection:
        # A third of them is enough, and is built in a third of the time.
        connection.execute("DELETE FROM warehouse.flight_delays__flights WHERE flight % 3 <> 0")
    build_features(use_case, DAYS)
    yield use_case
    close_store()
