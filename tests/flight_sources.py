"""Real flights in a source file of a test's own, so that a test can change them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pandas as pd

from mlforge import db
from mlforge.contracts import check_partition
from mlforge.ingest import extract_partition, publish_partition
from mlforge.ingest.source import source_uri
from mlforge.refs import CheckedPartition, PartitionRange, PublishedPartition
from mlforge.spec import UseCase, load_use_case

FIRST, LAST = "2013-04-01", "2013-04-04"


@functools.cache
def _real(dataset: str) -> pd.DataFrame:
    """Return the four days of April, every value as the file writes it."""
    uri = source_uri(load_use_case("flight_delays").dataset(dataset).source)
    frame = pd.read_csv(uri, dtype=str, keep_default_na=False)
    day = frame["time_hour"].str[:10]
    return frame[(day >= FIRST) & (day <= LAST)].reset_index(drop=True)


def real_rows(dataset: str = "flights") -> pd.DataFrame:
    """Return a copy of the four days of April, every value as text."""
    return _real(dataset).copy()


def reading(use_case: UseCase, rows: pd.DataFrame, path: Path, dataset: str = "flights", **other: Any) -> UseCase:
    """Write rows to a file and return the use case that reads them, with other values of the dataset's fields."""
    rows.to_csv(path, index=False)
    declared = use_case.dataset(dataset)
    source = declared.source.model_copy(update={"path": str(path), "format": "csv"})
    changed = declared.model_copy(update={"source": source, **other})
    return use_case.model_copy(update={"datasets": {**use_case.datasets, dataset: changed}})


def checked(use_case: UseCase, key: str, dataset: str = "flights") -> CheckedPartition:
    """Return what extraction and check make of a day or a range."""
    return check_partition(use_case, extract_partition(use_case, dataset, PartitionRange.parse(key)))


def published(use_case: UseCase, key: str, dataset: str = "flights") -> PublishedPartition:
    """Return what extraction, check and publication make of a day or a range."""
    return publish_partition(use_case, checked(use_case, key, dataset))


def ask(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what the database answers."""
    with db.connect() as connection:
        return connection.execute(query.encode(), values).fetchall()


def warehouse(dataset: str = "flights") -> list[tuple[Any, ...]]:
    """Return the rows of a warehouse table, sorted by their text."""
    return ask(f"SELECT t::text FROM warehouse.flight_delays__{dataset} t ORDER BY t::text")


def staging_tables() -> list[str]:
    """Return the staging tables that there are."""
    return [name for (name,) in ask("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'")]
