"""What is published, read from the ledger."""

from __future__ import annotations

from mlforge.db.connection import connect
from mlforge.refs import STATIC_KEY


def newest_partition(use_case: str) -> str | None:
    """Return the key of the newest day that any dataset of a use case has published, or none.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    with connect() as connection:
        row = connection.execute(
            "SELECT max(partition_key) FROM ledger.publications WHERE use_case = %s AND partition_key <> %s",
            [use_case, STATIC_KEY],
        ).fetchone()
    newest: str | None = row[0] if row else None
    return newest
