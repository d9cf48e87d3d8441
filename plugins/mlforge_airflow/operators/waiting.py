"""Before Source → RawPartition: the partition may be late."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from mlforge_airflow.operators.base import StageOperator, library_errors
from mlforge_airflow.operators.run import read_facts
from mlforge_airflow.triggers.arrival import PartitionArrivalTrigger, look

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.spec import UseCase
    from mlforge_airflow.operators.run import RunFacts


class WaitForPartitionOperator(StageOperator):
    """Waits until the partition has arrived at its source; meanwhile it holds no worker.

    At the deadline, which `source.wait` of the dataset sets, it raises an alert and fails: nothing that is empty is
    ever published. A backfill waits just as long, and raises no alert.

    Args:
        dataset: Name of the dataset.
    """

    effect = "partition"
    template_fields = ("use_case", "dataset")

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: Context) -> None:
        """Look once, and wait in the triggerer if the partition is not there."""
        with library_errors():
            use_case, facts = self._read(context)
            deadline = self._deadline(context, use_case, facts)
            state, detail = look(self.use_case, self.dataset, facts.days.key)
        if state == "late" and dt.datetime.now(dt.UTC) < deadline:
            self.log.info("%s has not come yet; it is waited for until %s", detail["missing"], deadline)
            wait = use_case.dataset(self.dataset).source.wait
            self.defer(
                trigger=PartitionArrivalTrigger(
                    use_case=self.use_case,
                    dataset=self.dataset,
                    partition_key=facts.days.key,
                    deadline=deadline.isoformat(),
                    poke_seconds=wait.poke_seconds if wait else 60.0,
                ),
                method_name="resume",
            )
        self.resume(context, {"state": state, "deadline": deadline.isoformat(), **detail})

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """Go on with what the trigger saw.

        Raises:
            AirflowFailException: The partition is late, or its source cannot be read.
        """
        if event["state"] == "arrived":
            self.log.info("the partition has arrived")
            return
        if event["state"] == "broken":
            raise AirflowFailException(event["error"])
        with library_errors():
            use_case, facts = self._read(context)
            raise AirflowFailException(self._late(use_case, facts, event))

    def _read(self, context: Context) -> tuple[UseCase, RunFacts]:
        from mlforge.spec import load_use_case

        use_case = load_use_case(self.use_case)
        return use_case, read_facts(context, use_case)

    def _deadline(self, context: Context, use_case: UseCase, facts: RunFacts) -> dt.datetime:
        from mlforge.ingest.arrival import deadline_of

        started = getattr(context["dag_run"], "start_date", None) or dt.datetime.now(dt.UTC)
        return deadline_of(use_case, self.dataset, facts.days, started)

    def _late(self, use_case: UseCase, facts: RunFacts, event: dict[str, Any]) -> str:
        """Raise the alert, unless a backfill waited, and return what is late since when."""
        from mlforge.ingest.arrival import late_error, raise_late_alert

        missing, deadline = use_case.partitions(event["missing"]), dt.datetime.fromisoformat(event["deadline"])
        error = late_error(use_case, self.dataset, missing, deadline, event.get("seen", ""))
        if facts.backfill:
            self.log.info("a backfill raises no alert")
        else:
            raise_late_alert(use_case, self.dataset, missing, deadline, run_id=facts.run_id)
        return str(error)
