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

    def run_stage(self, run: StageRun) -> Ref:
        """Build."""
        from mlforge import stages

        return stages.build_features(run)


class MaterializeFeaturesOperator(StageOperator):
    """Writes the partition's features to the online store; a newer value there is never overwritten.

    Args:
        built: Ref of the feature partition.
    """

    effect = "partition"
    template_fields = ("use_case", "built")

    def __init__(self, *, built: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = built

    def run_stage(self, run: StageRun) -> Ref:
        """Materialize."""
        from mlforge import stages
        from mlforge.refs import FeaturePartition

        return stages.materialize(run, FeaturePartition.load(self.built))


class AssembleTrainingSetOperator(StageOperator):
    """Joins examples with the features known at their moment, as of the partition's end, into one immutable file."""

    effect = "partition"

    def run_stage(self, run: StageRun) -> Ref:
        """Assemble."""
        from mlforge import stages

        return stages.assemble(run)


class AssemblePartitionOperator(StageOperator):
    """Joins the examples of the monitored days with the features that they were scored with."""

    effect = "partition"

    def run_stage(self, run: StageRun) -> Ref:
        """Assemble."""
        from mlforge import stages

        return stages.assemble_partition(run)
