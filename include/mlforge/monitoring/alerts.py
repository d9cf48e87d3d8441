"""Alerts: what a person should look at, one ledger row each."""

from __future__ import annotations

import logging
from typing import Any

from mlforge import db
from mlforge.drift import GONE
from mlforge.refs import DriftReport
from mlforge.spec import UseCase

log = logging.getLogger(__name__)

_INSERT = """
INSERT INTO ledger.alerts (use_case, partition_key, severity, what, detail, run_id)
VALUES (%(use_case)s, %(partition_key)s, %(severity)s, %(what)s, %(detail)s, %(run_id)s)
ON CONFLICT (use_case, partition_key, what) DO NOTHING
"""


def raise_alerts(use_case: UseCase, report: DriftReport, *, run_id: str | None = None) -> int:
    """Write an alert for each thing in a report that needs a person, log it, and return how many were new.

    Those are: the share of drifted columns reaches `monitors.alert_share`, and columns that are gone or empty.
    An alert that was raised for the partition before is not raised again.
    """
    from psycopg.types.json import Jsonb

    raised = 0
    with db.connect() as connection:
        for severity, what, detail in _due(use_case, report):
            values = {
                "use_case": use_case.name,
                "partition_key": report.partition_key,
                "severity": severity,
                "what": what,
                "detail": Jsonb({**detail, "report": report.uri}),
                "run_id": run_id,
            }
            new = connection.execute(_INSERT, values).rowcount
            raised += new
            if new:
                log.warning("%s %s: %s %s", use_case.name, report.partition_key, what, detail)
    return raised


def _due(use_case: UseCase, report: DriftReport) -> list[tuple[str, str, dict[str, Any]]]:
    due: list[tuple[str, str, dict[str, Any]]] = []
    compared = len(report.scores.keys() | set(report.drifted))
    share = len(report.drifted) / compared if compared else 0.0
    if report.drifted and share >= use_case.monitors.alert_share:
        detail = {"share": round(share, 4), "drifted": list(report.drifted), "compared": compared}
        due.append(("warning", "drift", detail))
    for column, finding in sorted(report.findings.items()):
        if finding in GONE:
            due.append(("critical", f"column {column}", {"finding": finding}))
    return due
