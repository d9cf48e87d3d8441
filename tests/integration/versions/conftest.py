"""Published days of real flights, and a data repository that is new for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from flight_sources import published, reading, real_rows
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.versions import Created, create_version
from mlforge.versions.repository import DataRepository
from mlforge.versions.worktree import repository_root


@pytest.fixture
def new_repository(database: Settings) -> Iterator[Path]:
    """Where the data repository will lie; neither it nor its remote is there yet."""
    root, remote = repository_root(database), database.home / "storage" / "data-versions"
    for folder in (root, remote):
        shutil.rmtree(folder, ignore_errors=True)
    yield root
    for folder in (root, remote):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def publish(database: Settings, flight_delays: UseCase, tmp_path: Path) -> Callable[..., UseCase]:
    """Publish flights of some days, as a change of the real rows leaves them."""

    def publish_days(
        key: str = "2013-04-01..2013-04-03", change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
    ) -> UseCase:
        use_case = reading(flight_delays, change(real_rows()), tmp_path / "flights.csv")
        published(use_case, key)
        return use_case

    return publish_days


@pytest.fixture
def make(new_repository: Path, flight_delays: UseCase) -> Callable[..., Created]:
    """Make a version of the published flights."""

    def make_version(key: str | None = None, **other: str) -> Created:
        days = PartitionRange.parse(key) if key else None
        return create_version(flight_delays, dataset="flights", days=days, who="ann", **other)

    return make_version


@pytest.fixture
def repository(make: Callable[..., Created], publish: Callable[..., UseCase]) -> DataRepository:
    """A repository with the version v1 of three days."""
    publish()
    make()
    return DataRepository.open()
