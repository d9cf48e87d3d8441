"""Real flights of January with their features: enough for a walk of two weeks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flight_warehouse import fill_warehouse
from mlforge import db
from mlforge.features import apply_features, build_features, close_store
from mlforge.settings import Settings
from mlforge.spec import UseCase
from walk_case import DAYS, small_use_case


@pytest.fixture(scope="module")
def january(module_database: Settings) -> Iterator[UseCase]:
    """The use case, whose features of January are built."""
    use_case = small_use_case()
    close_store()
    apply_features(use_case)
    fill_warehouse(use_case, DAYS)
    with db.connect() as connection:
        # A third of them is enough, and is built in a third of the time.
        connection.execute("DELETE FROM warehouse.flight_delays__flights WHERE flight % 3 <> 0")
    build_features(use_case, DAYS)
    yield use_case
    close_store()
