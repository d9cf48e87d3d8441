"""Warehouse tables filled straight from the source, so that features are tested without the rooms before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from flight_warehouse import fill_dataset
from mlforge.features import apply_features, close_store
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    """The shipped use case."""
    return load_use_case("flight_delays")


@pytest.fixture(scope="module")
def fill(module_database: Settings, use_case: UseCase) -> Iterator[Callable[[PartitionRange], None]]:
    """Fill the warehouse with the real rows of some days; the feature registry is applied."""
    close_store()
    apply_features(use_case)

    def fill_days(days: PartitionRange) -> None:
        for dataset, described in use_case.datasets.items():
            if described.partitioned:
                fill_dataset(use_case, dataset, days)

    fill_dataset(use_case, "planes", PartitionRange.parse("2013-01-01"))
    yield fill_days
    close_store()
