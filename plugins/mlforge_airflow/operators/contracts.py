"""RawPartition → CheckedPartition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class CheckPartitionOperator(StageOperator):
    """Checks every row against the dataset's contract; rows that break it are quarantined with their rules.

    More broken rows than the use case allows fail the task, and nothing is published.

    Args:
        raw: Ref of the raw partition.
    """

    effect = "partition"
    template_fields = ("use_case", "raw")

    def __init__(self, *, raw: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.raw = raw

    def run_stage(self, run: StageRun) -> Ref:
        """Check."""
        from mlforge import stages
        from mlforge.refs import RawPartition

        return stages.check(run, RawPartition.load(self.raw))
