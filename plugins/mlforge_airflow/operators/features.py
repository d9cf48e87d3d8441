"""PublishedPartition → FeaturePartition → TrainingSet."""

from __future__ import annotations

from typing import Any

from mlforge_airflow.operators.base import StageOperator


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
    """Joins examples with the features known at their moment, as of the partition's end, into one immutable file."""

    effect = "partition"
    stage = "assemble"


class AssemblePartitionOperator(StageOperator):
    """Joins the examples of the monitored days with the features that they were scored with."""

    effect = "partition"
    stage = "assemble-partition"
