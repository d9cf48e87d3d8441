"""Source → RawPartition, and CheckedPartition → PublishedPartition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class ExtractPartitionOperator(StageOperator):
    """Reads the partition from its source and lands it as an immutable file, named after its content.

    Args:
        dataset: Name of the dataset.
    """

    effect = "partition"
    stage = "extract"
    template_fields = ("use_case", "dataset")

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def run_stage(self, run: StageRun) -> Ref:
        """Extract."""
        from mlforge import stages
        from mlforge_airflow.hooks.connections import use_airflow_connections

        use_airflow_connections()
        return stages.extract(replace(run, dataset=self.dataset))


class PublishPartitionOperator(StageOperator):
    """Publishes the rows that keep their contract, exactly once: the same content again changes nothing.

    Args:
        checked: Ref of the checked partition.
    """

    effect = "partition"
    stage, takes = "publish", "checked"
    template_fields = ("use_case", "checked")

    def __init__(self, *, checked: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checked = checked
