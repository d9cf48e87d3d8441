"""Deployment → DriftReport: the arrows of the monitoring chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlforge.refs import DriftReport, PartitionRange, TrainingSet
    from mlforge.stages.run import StageRun


def monitored_days(run: StageRun) -> PartitionRange:
    """Return the days that monitoring compares together: the window that ends with the newest day of the run."""
    return run.use_case.trailing_partitions(run.days, run.use_case.monitors.window_days)


def join_outcomes(run: StageRun) -> int:
    """Join what happened to the predictions of the monitored days; returns how many were joined."""
    from mlforge.monitoring import join_outcomes as join

    return join(run.use_case, monitored_days(run), run_id=run.run_id)


def assemble_partition(run: StageRun) -> TrainingSet:
    """Assemble the examples of the monitored days with their features."""
    from mlforge.features import assemble_partition as assemble_days

    return assemble_days(run.use_case, monitored_days(run))


def drift(run: StageRun, current: TrainingSet) -> DriftReport:
    """Measure drift and performance against the champion's training set."""
    from mlforge.monitoring import measure_drift

    return measure_drift(run.use_case, current, run_id=run.run_id)


def alert(run: StageRun, report: DriftReport) -> int:
    """Raise the alerts that a report gives cause for; returns how many were raised."""
    from mlforge.monitoring import raise_alerts

    return raise_alerts(run.use_case, report, run_id=run.run_id)
