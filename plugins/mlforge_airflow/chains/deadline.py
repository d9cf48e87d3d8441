"""check_deadline: an alert when the gate has not decided by `retraining.deadline`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow.sdk import DAG, CronTriggerTimetable

from mlforge_airflow.chains.frame import chain_dag
from mlforge_airflow.operators.deadline import CheckDeadlineOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Looks every day at {deadline:%H:%M} {timezone} whether the gate has decided about the newest {period} that is due.

- **Green:** it has; the log says what it decided, when, and who promoted. Or no decision was due, because nothing had
  changed or nothing gave cause for a training.
- **Red:** it should have. `ledger.alerts` has a critical alert, and the log says how far things came: the data run has
  not come through, nobody asked for a training, or the training that was asked for has not reached its gate.
- **By hand:** trigger it with a partition key to look at that {period}, or without one.
"""


def deadline_chain(use_case: UseCase) -> DAG | None:
    """Return the DAG that alerts when there is no decision by `retraining.deadline`; none without such a time.

    It has a clock of its own rather than Airflow's `DeadlineAlert`, which measures from a run that exists: a data run
    that was never made, or a training that nobody asked for, would go unnoticed, and these are the usual cases. What
    a run that hangs does not deliver by the deadline is missing here just the same.
    """
    retraining, schedule = use_case.retraining, use_case.schedule
    if retraining.deadline is None:
        return None
    dag = chain_dag(
        use_case,
        "deadline",
        description=f"alerts when the gate has not decided by {retraining.deadline:%H:%M} {retraining.timezone}",
        doc=_DOC.format(deadline=retraining.deadline, timezone=retraining.timezone, period=schedule.period),
        schedule=CronTriggerTimetable(
            f"{retraining.deadline.minute} {retraining.deadline.hour} * * *", timezone=retraining.timezone
        ),
        start_date=dt.datetime.combine(schedule.start, dt.time(), dt.UTC),
        end_date=_end(use_case),
        max_active_runs=1,
    )
    with dag:
        CheckDeadlineOperator(task_id="check_deadline", use_case=use_case.name)
    return dag


def _end(use_case: UseCase) -> dt.datetime | None:
    """Return when the last partition's deadline is over; none when the schedule goes on."""
    last = use_case.last_day
    if last is None:
        return None
    deadline = use_case.retraining.decided_by(use_case.partitions(str(last)).end)
    # Of a time that comes twice the cron takes the second, an hour later.
    return deadline + dt.timedelta(hours=2) if deadline else None
