"""TrainingSet → Candidate, and asking for it: after the data of a partition, and after a report of drift."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from mlforge_airflow.links import ModelVersionLink
from mlforge_airflow.operators.base import ACT_ANYWAY, StageOperator, library_errors, live_obstacle, skipped
from mlforge_airflow.operators.run import read_facts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import DriftReport
    from mlforge.stages import StageRun
    from mlforge_airflow.operators.run import RunFacts


class RequestTrainingOperator(StageOperator):
    """Asks for a training with everything up to this partition: the event of its outlet starts the training chain.

    When the schedule caused the run, it waits for the wall-clock time `retraining.at`, and meanwhile holds no worker.
    It is skipped when nothing has changed since the last training as of this partition, and its log says so.
    """

    effect = "live"

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Ask, or wait in the triggerer until it is time."""
        with library_errors():
            moment = self._wait_until(context)
        if moment is None:
            return self.perform(context)
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        self.log.info("waits until %s, which is `retraining.at`", moment)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")

    def resume(self, context: Context, event: Any = None) -> dict[str, Any] | None:
        """Ask, now that it is time; whether the partition is still the newest one is looked up again."""
        return self.perform(context)

    def require_live(self, run: StageRun, facts: RunFacts) -> None:
        """Let `run_stage` find out: that nobody may ask is written down too."""

    def run_stage(self, run: StageRun) -> None:
        """Ask; the outlet's event is the request."""
        from mlforge import stages

        facts = self.run_facts
        obstacle = live_obstacle(facts, self.use_case) or ""
        answer = stages.request_training(
            run, report=self.drift_report(), obstacle=obstacle, insists=facts.insists, by_hand=facts.by_hand
        )
        if not answer.asked:
            raise skipped(f"{answer.reason}. {ACT_ANYWAY}" if answer.may_be_forced else answer.reason)
        self.log.info("training is requested as of %s: %s", run.days.last_key, answer.reason)

    def drift_report(self) -> DriftReport | None:
        """Return the report that may give cause for a training; none where the new partition is the cause."""
        return None

    def _wait_until(self, context: Context) -> dt.datetime | None:
        """Return until when to wait: never when a person or a backfill caused the run, or it may not ask anyway."""
        from mlforge.spec import load_use_case

        use_case = load_use_case(self.use_case)
        facts = read_facts(context, use_case)
        if not facts.scheduled or facts.insists or live_obstacle(facts, self.use_case):
            return None
        moment = use_case.retraining.asks_from(facts.days.end)
        return moment if moment > dt.datetime.now(dt.UTC) else None


class RequestTrainingOnDriftOperator(RequestTrainingOperator):
    """Asks for a training when the report says that one helps.

    It helps when enough columns have drifted, or when the champion's answers are no better than their mean. The task is
    skipped when a training as of this partition was asked for already, such as by the data chain.

    Args:
        report: Ref of the drift report.
    """

    effect = "live"
    template_fields = ("use_case", "report")

    def __init__(self, *, report: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report = report

    def drift_report(self) -> DriftReport | None:
        """Return the report."""
        from mlforge.refs import DriftReport

        return DriftReport.load(self.report)


class TrainCandidateOperator(StageOperator):
    """Trains a candidate as one MLflow run and registers its model version.

    Args:
        training_set: Ref of the training set, or of what a search on it has chosen.
    """

    effect = "partition"
    stage, takes = "train", "training_set"
    template_fields = ("use_case", "training_set")
    operator_extra_links = (ModelVersionLink(),)

    def __init__(self, *, training_set: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_set = training_set


class EvaluateCandidateOperator(StageOperator):
    """Scores the candidate and its baselines on the newest days, which no model has seen.

    Args:
        candidate: Ref of the candidate.
    """

    effect = "partition"
    stage, takes = "evaluate", "candidate"
    template_fields = ("use_case", "candidate")
    operator_extra_links = (ModelVersionLink(),)

    def __init__(self, *, candidate: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate
