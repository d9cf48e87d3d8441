"""RawPartition → CheckedPartition."""

from __future__ import annotations

from typing import Any

from mlforge_airflow.operators.base import StageOperator


class CheckPartitionOperator(StageOperator):
    """Checks every row against the dataset's contract; rows that break it are quarantined with their rules.

    More broken rows than the use case allows fail the task, and nothing is published.

    Args:
        raw: Ref of the raw partition.
    """

    effect = "partition"
    stage, takes = "check", "raw"
    template_fields = ("use_case", "raw")

    def __init__(self, *, raw: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.raw = raw
