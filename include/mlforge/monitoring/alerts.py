"""Alerts: what a person should look at, one ledger row each."""

from __future__ import annotations

from typing import Any, Literal

from mlforge.db.alerts import raise_alert
from mlforge.drift import GONE
from mlforge.monitoring.retraining import drifted_share
from mlforge.refs import DriftReport
from mlforge.spec import UseCase

Due = tuple[Literal["warning", "critical"], str, dict[str, Any]]


def raise_alerts(use_case: UseCase, report: DriftReport, *, run_id: str | None = None) -> int:
    """Write an alert for each thing in a report that needs a person, log it, and return how many were new.

    Those are: the share of drifted columns reaches `monitors.alert_share`, and columns that are gone or empty.
    An alert that was raised for the partition before is not raised again.
    """
    return sum(
        raise_alert(
            use_case.name,
            report.partition_key,
            severity=severity,
            what=what,
            detail={**detail, "report": report.uri},
            run_id=run_id,
        )
        for severity, what, detail in _due(use_case, report)
    )


def _due(use_case: UseCase, report: DriftReport) -> list[Due]:
    due: list[Due] = []
    share, compared = drifted_share(report)
    if report.drifted and share >= use_case.monitors.alert_share:
        detail = {"share": round(share, 4), "drifted": list(report.drifted), "compared": compared}
        due.append(("warning", "drift", detail))
    for column, finding in sorted(report.findings.items()):
        if finding in GONE:
            due.append(("critical", f"column {column}", {"finding": finding}))
    return due
