"""The project's PostgreSQL: connections, locks and migrations."""

from mlforge.db.connection import connect, engine, wait_until_ready
from mlforge.db.locks import lock_partition

__all__ = ["connect", "engine", "lock_partition", "wait_until_ready"]
