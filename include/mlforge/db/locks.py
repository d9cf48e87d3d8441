"""Locks that PostgreSQL holds until a transaction ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

_ONE_BY_ONE = 32


def lock_partition(connection: psycopg.Connection[Any], *names: str) -> None:
    """Wait for the lock on what the names say; it goes with the transaction.

    Args:
        connection: Its open transaction holds the lock.
        names: For instance use case, dataset and partition key.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["\x1f".join(names)])


def lock_partitions(connection: psycopg.Connection[Any], name: str, dataset: str, keys: Sequence[str]) -> None:
    """Wait for the locks on partitions of a dataset; they go with the transaction.

    A few are locked one by one, so that others stay free. Many are locked by one lock on the dataset: PostgreSQL has
    room for some thousand locks in all, and a range may have more partitions.

    Args:
        connection: Its open transaction holds the locks.
        name: Of the use case.
        dataset: Whose partitions.
        keys: Their keys.
    """
    whole = ["\x1f".join((name, dataset, "every partition"))]
    if len(keys) > _ONE_BY_ONE:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", whole)
        return
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", whole)
    for key in sorted(keys):
        lock_partition(connection, name, dataset, key)
