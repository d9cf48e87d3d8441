"""Whether the gate has decided in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from mlforge_airflow.operators.base import StageOperator, library_errors, skipped
from mlforge_airflow.operators.run import BACKFILL

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import PartitionRange
    from mlforge.spec import UseCase


class CheckDeadlineOperator(StageOperator):
    """Looks whether the gate has decided about the newest partition whose deadline has passed; else alerts and fails.

    It says who decided what and when, or why no decision was due. It does not depend on a run of another chain: that
    the data has never come through is what it finds too. A backfill checks nothing.
    """

    effect = "live"

    def execute(self, context: Context) -> None:
        """Look, and raise the alert.

        Raises:
            AirflowFailException: There should be a decision, and there is none.
        """
        from mlforge.spec import load_use_case
        from mlforge.training.deadline import check_deadline

        dag_run = context["dag_run"]
        if str(getattr(dag_run.run_type, "value", dag_run.run_type)) == BACKFILL:
            raise skipped("a deadline is looked at once, when it has passed; a backfill never touches what is live")
        with library_errors():
            use_case = load_use_case(self.use_case)
            days = self._due(context, use_case)
            if days is None:
                raise skipped("no partition has a deadline that has passed")
            found = check_deadline(use_case, days, run_id=f"{dag_run.dag_id}/{dag_run.run_id}")
        if not found.kept:
            raise AirflowFailException(f"{self.use_case} {found.partition_key}: no decision in time: {found.why}")
        self.log.info("%s: %s", found.partition_key, found.why)

    def _due(self, context: Context, use_case: UseCase) -> PartitionRange | None:
        """Return the partition that the run names, else the newest one whose deadline has passed."""
        from mlforge.training.deadline import due_partition

        key: Any = context.get("partition_key")
        return use_case.partitions(key) if key else due_partition(use_case, context["dag_run"].run_after)
