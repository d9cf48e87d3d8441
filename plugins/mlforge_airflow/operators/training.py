"""TrainingSet → Candidate, and asking for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.links import ModelVersionLink
from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.stages import StageRun


class RequestTrainingOperator(StageOperator):
    """Asks for a training with everything up to this partition: the event of its outlet starts the training chain."""

    effect = "live"

    def run_stage(self, run: StageRun) -> None:
        """Succeed; the outlet's event is the request."""
        self.log.info("training is requested as of %s", run.days.last_key)


class TrainCandidateOperator(StageOperator):
    """Trains a candidate as one MLflow run and registers its model version.

    Args:
        training_set: Ref of the training set.
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
