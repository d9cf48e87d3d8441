"""The project's PostgreSQL: connections, locks and migrations."""

from mlforge.db.connection import connect, engine, wait_until_ready
from mlforge.db.locks import lock_partition, lock_partitions

__all__ = ["connect", "engine", "lock_partition", "lock_partitions", "wait_until_ready"]
