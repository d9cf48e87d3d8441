"""Prediction → DriftReport, and the alerts that it gives cause for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator, skipped

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class JoinOutcomesOperator(StageOperator):
    """Joins what happened to the predictions of the monitored days, as far as it is known by now.

    Before there is a champion, as in a first load, nothing was predicted and there is nothing to compare with: the
    task and those after it are skipped.
    """

    effect = "partition"
    stage = "join-outcomes"

    def run_stage(self, run: StageRun) -> None:
        """Join."""
        from mlforge import stages
        from mlforge.db.ledger import champion

        if champion(run.use_case.name) is None:
            raise skipped(f"{run.use_case.name} has no champion yet, so there is nothing to monitor")
        self.log.info("%d outcomes joined", stages.join_outcomes(run))


class MeasureDriftOperator(StageOperator):
    """Compares the monitored days with the champion's training set, column by column, and scores its predictions.

    Args:
        current: Ref of the assembled days.
    """

    effect = "partition"
    stage, takes = "drift", "current"
    template_fields = ("use_case", "current")

    def __init__(self, *, current: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.current = current

    def run_stage(self, run: StageRun) -> Ref:
        """Measure."""
        from mlforge import stages
        from mlforge.refs import TrainingSet

        report = stages.drift(run, TrainingSet.load(self.current))
        self.log.info("drifted: %s; performance: %s", ", ".join(report.drifted) or "none", report.performance)
        return report


class RaiseAlertsOperator(StageOperator):
    """Raises the alerts that the report gives cause for.

    Args:
        report: Ref of the drift report.
    """

    effect = "live"
    stage, takes = "alert", "report"
    template_fields = ("use_case", "report")

    def __init__(self, *, report: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report = report

    def run_stage(self, run: StageRun) -> None:
        """Alert."""
        from mlforge import stages
        from mlforge.refs import DriftReport

        self.log.info("%d alerts raised", stages.alert(run, DriftReport.load(self.report)))
