"""From a receipt back to all that its answer rests on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from mlforge.db import connect
from mlforge.db.ledger import release_record
from mlforge.errors import ServingError

_PUBLICATIONS = """
    SELECT dataset, publication_id, partition_key, version, rows_published, rows_quarantined, content_hash, raw_uri,
           contract_version, code_version, run_id, published_at
    FROM ledger.publications WHERE publication_id = ANY(%(ids)s) ORDER BY dataset
"""


def trace_receipt(receipt_id: str) -> dict[str, Any]:
    """Return what is known of an answer: the receipt, its release, the training set and the publications under it.

    Args:
        receipt_id: As the answer said it.

    Raises:
        ServingError: There is no such receipt.
    """
    try:
        key = UUID(receipt_id)
    except ValueError as error:
        raise ServingError(f"{receipt_id!r} is no receipt", hint="copy `receipt_id` from an answer") from error
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        query = "SELECT * FROM ledger.predictions WHERE receipt_id = %(receipt_id)s"
        receipt = cursor.execute(query, {"receipt_id": key}).fetchone()
    if receipt is None:
        raise ServingError(f"there is no receipt {receipt_id}", hint="copy `receipt_id` from an answer")
    record = release_record(receipt["release_id"])
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        ids = list(record.training_set.publications.values())
        publications = cursor.execute(_PUBLICATIONS, {"ids": ids}).fetchall()
    return {
        "receipt": {**receipt, "receipt_id": str(key)},
        "release": {
            **record.release.dump(),
            "kind": record.kind,
            "mlflow_run_id": record.mlflow_run_id,
            "who": record.who,
            "why": record.why,
            "released_at": record.released_at,
        },
        "training_set": record.training_set.dump(),
        "publications": publications,
    }
