"""Alerts, one ledger row each: what a person should look at."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from mlforge.db.connection import connect

log = logging.getLogger(__name__)

_INSERT = """
INSERT INTO ledger.alerts (use_case, partition_key, severity, what, detail, run_id)
VALUES (%(use_case)s, %(partition_key)s, %(severity)s, %(what)s, %(detail)s, %(run_id)s)
ON CONFLICT (use_case, partition_key, what) DO NOTHING
"""


def raise_alert(
    use_case: str,
    partition_key: str,
    *,
    severity: Literal["warning", "critical"],
    what: str,
    detail: Mapping[str, Any],
    run_id: str | None = None,
) -> bool:
    """Write and log an alert; return False if the same one had been raised for the partition before."""
    from psycopg.types.json import Jsonb

    values = {
        "use_case": use_case,
        "partition_key": partition_key,
        "severity": severity,
        "what": what,
        "detail": Jsonb(dict(detail)),
        "run_id": run_id,
    }
    with connect() as connection:
        new = connection.execute(_INSERT, values).rowcount == 1
    if new:
        log.warning("%s %s: %s %s", use_case, partition_key, what, dict(detail))
    return new
