"""PublishedPartition → FeaturePartition → TrainingSet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class BuildFeaturesOperator(StageOperator):
    """Computes the feature views of the partition in the warehouse, from what was known at its end."""

    effect = "partition"
    stage = "build-features"


class MaterializeFeaturesOperator(StageOperator):
    """Writes the partition's features to the online store; a newer value there is never overwritten.

    Args:
        built: Ref of the feature partition.
    """

    effect = "partition"
    stage, takes = "materialize", "built"
    template_fields = ("use_case", "built")

    def __init__(self, *, built: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = built


class AssembleTrainingSetOperator(StageOperator):
    """Joins examples with the features known at their moment, as of the partition's end, into one immutable file.

    A person who starts the training chain asks for a training by that, which is written down.
    """

    effect = "partition"
    stage = "assemble"

    def run_stage(self, run: StageRun) -> Ref | None:
        """Assemble."""
        from mlforge import stages

        if self.run_facts.by_hand and (run.run_id or "").startswith(f"{self.use_case}.training/"):
            # Before: what is published meanwhile has changed since.
            stages.note_training(run)
        return super().run_stage(run)


class AssemblePartitionOperator(StageOperator):
    """Joins the examples of the monitored days with the features that they were scored with."""

    effect = "partition"
    stage = "assemble-partition"
