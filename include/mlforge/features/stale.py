"""Feature partitions whose input has changed since they were built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from mlforge import db
from mlforge.features.inputs import datasets_read, declared_window, first_read, read_inputs
from mlforge.refs import STATIC_KEY
from mlforge.spec import UseCase

_BUILT: LiteralString = """
SELECT DISTINCT ON (partition_key) partition_key, inputs, built_at FROM ledger.feature_publications
WHERE use_case = %s AND view = %s ORDER BY partition_key, feature_publication_id DESC
"""
_PUBLISHED: LiteralString = """
SELECT DISTINCT ON (dataset, partition_key) dataset, partition_key, version, published_at FROM ledger.publications
WHERE use_case = %s ORDER BY dataset, partition_key, version DESC
"""


@dataclass(frozen=True, order=True)
class StalePartition:
    """A partition of a feature view that would be computed from something else now.

    Attributes:
        why: The publications since it was built, or that the view's declaration has changed.
        by_data: Whether data has changed; a changed declaration alone makes nobody rebuild by itself.
    """

    view: str
    partition_key: str
    why: str
    by_data: bool = True


@dataclass(frozen=True)
class _Publication:
    dataset: str
    partition_key: str
    version: int
    published_at: datetime

    def __str__(self) -> str:
        return f"{self.dataset} {self.partition_key} version {self.version}"


def stale_partitions(use_case: UseCase) -> list[StalePartition]:
    """Return the built partitions of every view whose input has changed since, by view and key."""
    with db.connect() as connection:
        found = connection.execute(_PUBLISHED, [use_case.name]).fetchall()
        published = [_Publication(*row) for row in found]
        return sorted(part for view in use_case.features for part in _stale(connection, use_case, view, published))


def refreshable_keys(use_case: UseCase, *, without: Iterable[str] = ()) -> list[str]:
    """Return the keys that changed data has made stale, oldest first.

    A static view has no key of its own: the run that publishes a static dataset builds it anew.

    Args:
        use_case: Whose features.
        without: Keys that the asking run builds itself.
    """
    stale = {part.partition_key for part in stale_partitions(use_case) if part.by_data}
    return sorted(stale - set(without) - {STATIC_KEY})


def downstream_of(use_case: UseCase, dataset: str, keys: Iterable[str]) -> list[str]:
    """Return the keys of built partitions that read any of these partitions of a dataset, oldest first."""
    changed = list(keys)
    found: set[str] = set()
    with db.connect() as connection:
        for view in use_case.features:
            if dataset in datasets_read(use_case, view):
                found |= {
                    key
                    for key, *_ in connection.execute(_BUILT, [use_case.name, view]).fetchall()
                    if any(_reads(use_case, view, key, each) for each in changed)
                }
    return sorted(found)


def _reads(use_case: UseCase, view: str, key: str, other: str) -> bool:
    """Return whether the partition `key` of a view reads the partition `other` of a dataset that its SQL names."""
    if other == STATIC_KEY or key == STATIC_KEY:
        return other == STATIC_KEY
    return first_read(use_case, view, key) <= other <= key


def _stale(
    connection: psycopg.Connection[Any], use_case: UseCase, view: str, published: list[_Publication]
) -> Iterable[StalePartition]:
    built = {key: rest for key, *rest in connection.execute(_BUILT, [use_case.name, view]).fetchall()}
    now = read_inputs(connection, use_case, view, built)
    window, datasets = declared_window(use_case, view), set(datasets_read(use_case, view))
    for key, (inputs, built_at) in built.items():
        if inputs == now.get(key, ""):
            continue
        since = [
            each
            for each in published
            if each.dataset in datasets
            and each.published_at > built_at
            and _reads(use_case, view, key, each.partition_key)
        ]
        by_data = bool(since) or inputs.startswith(window)
        yield StalePartition(view, key, _why(since, by_data, window), by_data)


def _why(since: list[_Publication], by_data: bool, window: str) -> str:
    if since:
        rest = f" and {len(since) - 1} more" if len(since) > 1 else ""
        return f"{max(since, key=lambda each: each.published_at)}{rest} came after it was built"
    if by_data:
        return "a partition that it reads has changed"
    return f"the view declares another lookback than it was built with: {window.rstrip(':')} days now"
