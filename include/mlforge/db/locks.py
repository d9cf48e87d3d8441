"""Locks that PostgreSQL holds until a transaction ends."""

from __future__ import annotations

from typing import Any

import psycopg


def lock_partition(connection: psycopg.Connection[Any], *names: str) -> None:
    """Wait for the lock on what the names say; it goes with the transaction.

    Args:
        connection: Its open transaction holds the lock.
        names: For instance use case, dataset and partition key.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["\x1f".join(names)])
