"""assemble → train → score → report, for a week of history."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow.sdk import DAG, CronPartitionTimetable, Param

from mlforge_airflow.chains.frame import chain_dag
from mlforge_airflow.operators.walk_forward import (
    PrepareWeekOperator,
    ReportWalkOperator,
    ScoreWeekOperator,
    TrainWeekOperator,
)

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Walks through history, to find out which policy of retraining pays: each week's models know what was known when the week
began, and are scored on the week. Nothing that is live is read or changed.

- **Backfill:** start one from the first week to the last, with **one active run**: the weeks go in order, because some
  policies keep the model of the week before. A week that has its scores is not computed again.
- **By hand:** trigger it with the first day of a week as partition key, such as `{first}`; that is a {weekday}.
- **By itself** it never runs: what the schedule starts is skipped.
- **Weeks too early** to train as of are skipped, until the walk has begun.

The policies are {policies}. What they score: `mlforge walk-forward show {name}`, and the page that *report* writes.
"""
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def walk_forward_chain(use_case: UseCase) -> DAG:
    """Return the DAG that trains as of a week of history and scores what follows."""
    from mlforge.walk_forward.weeks import first_week, last_week

    name, first = use_case.name, first_week(use_case)
    weekday = _WEEKDAYS[first.first.weekday()]
    dag = chain_dag(
        use_case,
        "walk_forward",
        description="which policy of retraining pays, told by history",
        doc=_DOC.format(
            name=name,
            first=first.key,
            weekday=f"{first.first:%A}",
            policies=", ".join(f"`{policy}`" for policy in use_case.walk_forward.policies),
        ),
        # A week's run is due when the week has ended: then it can be scored.
        schedule=CronPartitionTimetable(f"0 0 * * {weekday}", timezone="UTC", key_format="%Y-%m-%d", run_offset=-1),
        start_date=first.as_of,
        end_date=max(last_week(use_case).end, first.as_of) if use_case.last_day else None,
        max_active_runs=1,
        params={"walk": _walk_param()},
    )
    with dag:
        prepare = PrepareWeekOperator(task_id="assemble", use_case=name)
        train = TrainWeekOperator(
            task_id="train", use_case=name, prepared=prepare.output, execution_timeout=dt.timedelta(hours=6)
        )
        score = ScoreWeekOperator(task_id="score", use_case=name, trained=train.output)
        ReportWalkOperator(task_id="report", use_case=name, scored=score.output)
    return dag


def _walk_param() -> Param:
    return Param(
        None,
        type=["null", "string"],
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        title="Walk",
        description="Name of the walk; none for one named after the present settings.",
    )
