"""For what a stage runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlforge.refs import PartitionRange
    from mlforge.spec import UseCase


@dataclass(frozen=True)
class StageRun:
    """For what a stage runs.

    Attributes:
        use_case: The use case.
        days: Its partitions, one day or many.
        run_id: Who runs it, for the ledger: `dag/run`, or none for a command.
        dataset: The dataset, for stages that run once per dataset.
        who: Person or schedule behind the run.
        why: Why it runs; a promotion writes it down.
    """

    use_case: UseCase
    days: PartitionRange
    run_id: str | None = None
    dataset: str = ""
    who: str = "schedule"
    why: str = ""
