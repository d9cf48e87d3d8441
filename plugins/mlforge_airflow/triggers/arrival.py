"""Waiting for a partition to arrive at its source."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any, Literal

from airflow.triggers.base import BaseTrigger, TriggerEvent

State = Literal["arrived", "late", "broken"]


class PartitionArrivalTrigger(BaseTrigger):
    """Looks at a source again and again until its partitions are there, or the deadline has passed.

    Args:
        use_case: Name of the use case.
        dataset: Name of the dataset.
        partition_key: A day, or a range of days.
        deadline: ISO 8601, with an offset.
        poke_seconds: Between two looks.
    """

    def __init__(self, use_case: str, dataset: str, partition_key: str, deadline: str, poke_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow does not type it
        self.use_case = use_case
        self.dataset = dataset
        self.partition_key = partition_key
        self.deadline = deadline
        self.poke_seconds = poke_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make it again."""
        return (
            f"{type(self).__module__}.{type(self).__name__}",
            {
                "use_case": self.use_case,
                "dataset": self.dataset,
                "partition_key": self.partition_key,
                "deadline": self.deadline,
                "poke_seconds": self.poke_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: `arrived`; `late` with the first partition that is missing; or `broken` with the error."""
        deadline = dt.datetime.fromisoformat(self.deadline)
        while True:
            # In a thread: the library's calls block, and a triggerer waits for many tasks at once.
            state, detail = await asyncio.to_thread(look, self.use_case, self.dataset, self.partition_key)
            left = (deadline - dt.datetime.now(dt.UTC)).total_seconds()
            if state != "late" or left <= 0:
                yield TriggerEvent({"state": state, "deadline": self.deadline, **detail})  # type: ignore[no-untyped-call]  # as above
                return
            self.log.info("%s.%s %s has not come yet", self.use_case, self.dataset, detail.get("missing"))
            await asyncio.sleep(min(self.poke_seconds, left))


def look(use_case: str, dataset: str, partition_key: str) -> tuple[State, dict[str, str]]:
    """Return whether partitions have arrived; else the first that has not, or the error that waiting does not mend.

    A source that does not answer counts as late: it may answer later.
    """
    from mlforge.errors import RetryableError, TerminalError
    from mlforge.ingest.arrival import first_missing
    from mlforge.spec import load_use_case
    from mlforge_airflow.hooks.connections import use_airflow_connections

    use_airflow_connections()
    try:
        described = load_use_case(use_case)
        days = described.partitions(partition_key)
        missing = first_missing(described, dataset, days)
    except RetryableError as error:
        return "late", {"missing": partition_key.partition("..")[0], "seen": str(error)}
    except TerminalError as error:
        return "broken", {"error": str(error)}
    return ("arrived", {}) if missing is None else ("late", {"missing": missing})
