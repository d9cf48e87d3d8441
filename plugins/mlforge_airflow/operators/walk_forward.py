"""A week of a walk through history: WalkWeek → WeekModels → WeekScores → WalkReport. Nothing live is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator, skipped

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import Ref
    from mlforge.stages import StageRun

# Kind of a run that nobody asked for, as Airflow names it.
_SCHEDULED = "scheduled"


class PrepareWeekOperator(StageOperator):
    """Joins the week's rows, and those before it that a model may be trained on, with their features; each row once.

    It is skipped unless a backfill or a person started the run, and in weeks as of which too little is known to begin.
    """

    effect = "partition"
    walk: str | None = None

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Prepare, if somebody asked for it."""
        kind = context["dag_run"].run_type
        if str(getattr(kind, "value", kind)) == _SCHEDULED:
            raise skipped("a walk through history never runs by itself: start a backfill, or trigger a week by hand")
        self.walk = (context.get("params") or {}).get("walk") or None
        value: dict[str, Any] | None = super().execute(context)
        return value

    def run_stage(self, run: StageRun) -> Ref:
        """Prepare."""
        from mlforge.walk_forward.walk import TooEarlyError, prepare_week
        from mlforge.walk_forward.weeks import UnfinishedWeekError

        try:
            prepared = prepare_week(run.use_case, run.days.key, walk=self.walk)
        except TooEarlyError as error:
            raise skipped(f"the walk cannot begin with this week: {error}") from error
        except UnfinishedWeekError as error:
            raise skipped(f"the week cannot be scored: {error}") from error
        self.log.info("walk %s, %d rows to score", prepared.walk, prepared.rows)
        return prepared


class TrainWeekOperator(StageOperator):
    """Trains, as of the week's first instant, what each policy trains anew; the others keep their model.

    Args:
        prepared: Ref of the prepared week.
    """

    effect = "partition"
    template_fields = ("use_case", "prepared")

    def __init__(self, *, prepared: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prepared = prepared

    def run_stage(self, run: StageRun) -> Ref:
        """Train."""
        from mlforge.walk_forward.refs import WalkWeek
        from mlforge.walk_forward.walk import train_week

        trained = train_week(run.use_case, WalkWeek.load(self.prepared), run_id=run.run_id)
        for each in trained.models:
            self.log.info("%s: %s, %s", each.policy, "trained" if each.trained else "kept", each.reason)
        return trained


class ScoreWeekOperator(StageOperator):
    """Scores the policies' models on the rows of the week, and writes a row of the ledger for each.

    Args:
        trained: Ref of the week's models.
    """

    effect = "partition"
    template_fields = ("use_case", "trained")

    def __init__(self, *, trained: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trained = trained

    def run_stage(self, run: StageRun) -> Ref:
        """Score."""
        from mlforge.walk_forward.refs import WeekModels
        from mlforge.walk_forward.walk import score_week

        scored = score_week(run.use_case, WeekModels.load(self.trained), run_id=run.run_id)
        self.log.info("%s: %s", scored.metric, scored.scores)
        return scored


class ReportWalkOperator(StageOperator):
    """Writes the page of the walk so far: which policy pays.

    Args:
        scored: Ref of the week's scores.
    """

    effect = "partition"
    template_fields = ("use_case", "scored")

    def __init__(self, *, scored: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scored = scored

    def run_stage(self, run: StageRun) -> Ref:
        """Report."""
        from mlforge.walk_forward.refs import WeekScores
        from mlforge.walk_forward.report import write_report

        report = write_report(run.use_case, WeekScores.load(self.scored))
        self.log.info("%s: %s", report.uri, report.conclusion)
        return report
