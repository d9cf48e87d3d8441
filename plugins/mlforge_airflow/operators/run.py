"""What an Airflow run says about itself: its partitions, whether it is a backfill, and whether it may act live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlforge.errors import PartitionKeyError
from mlforge.refs import PartitionRange

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.spec import UseCase

# Kinds of a run, as Airflow names them.
BACKFILL = "backfill"
MANUAL = "manual"
SCHEDULED = "scheduled"
# Who started a run that no person did.
SCHEDULE = "schedule"


@dataclass(frozen=True)
class RunFacts:
    """A run, as the stages need to know it.

    Attributes:
        days: Its partitions.
        run_id: `dag/run`, for the ledger.
        backfill: Whether a backfill caused it, here or in the run whose asset event started it.
        act_live: Whether a person said so in the parameters, here or there.
        insists: Whether a person said so in the parameters of this very run.
        by_hand: Whether a person started this very run.
        scheduled: Whether the schedule caused it, here or in the run whose asset event started it.
        who: The person who started it, or the run whose asset event did; else `schedule`.
        why: What caused it.
    """

    days: PartitionRange
    run_id: str
    backfill: bool
    act_live: bool
    who: str
    why: str
    insists: bool = False
    by_hand: bool = False
    scheduled: bool = False

    @property
    def event_extra(self) -> dict[str, Any]:
        """What asset events tell the runs that they start."""
        return {
            "partitions": self.days.key,
            "backfill": self.backfill,
            "act_live": self.act_live,
            "who": self.who,
            "scheduled": self.scheduled,
        }


def read_facts(context: Context, use_case: UseCase) -> RunFacts:
    """Return the facts of the run that a task belongs to.

    Raises:
        PartitionKeyError: The run names no partition, a wrong one, or one outside the schedule.
    """
    dag_run = context["dag_run"]
    params = context.get("params") or {}
    extras = list(_event_extras(context))
    people = [getattr(dag_run, "triggering_user_name", None), *(extra.get("who") for extra in extras)]
    days = use_case.partitions(_range_key(params, context.get("partition_key"), use_case.name).key)
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    return RunFacts(
        days=days,
        run_id=f"{dag_run.dag_id}/{dag_run.run_id}",
        backfill=kind == BACKFILL or (bool(extras) and all(extra.get("backfill") for extra in extras)),
        act_live=bool(params.get("act_live")) or any(extra.get("act_live") for extra in extras),
        who=next((str(person) for person in people if person), SCHEDULE),
        why=f"{kind.replace('_', ' ')} run of {dag_run.dag_id} for {days.key}",
        insists=bool(params.get("act_live")),
        by_hand=kind == MANUAL,
        scheduled=kind == SCHEDULED or any(extra.get("scheduled") for extra in extras),
    )


def _event_extras(context: Context) -> Iterator[Mapping[str, Any]]:
    events = context.get("triggering_asset_events") or {}
    for asset in events:
        for event in events[asset]:
            yield event.extra or {}


def _range_key(params: Mapping[str, Any], key: str | None, use_case: str) -> PartitionRange:
    """Return the range that parameters and partition key name: `from` and `to` widen the key to a range."""
    first, last = params.get("from") or key, params.get("to") or key
    if not (first and last):
        raise PartitionKeyError(
            "the run names no partition, or only one end of a range",
            where=use_case,
            hint="trigger it with a partition key, or with `from` and `to`",
        )
    if key and key != last:
        raise PartitionKeyError(
            f"the run's partition key is {key}, its parameter `to` is {last}",
            where=use_case,
            hint="give a range the key of its last day",
        )
    return PartitionRange.between(first, last)


def why_not_live(facts: RunFacts, newest: str | None) -> str | None:
    """Return why a live task must not act in a run, or none when it may.

    Args:
        facts: The run.
        newest: Key of the newest published partition of the use case.
    """
    if facts.act_live:
        return None
    if facts.backfill:
        return f"{facts.days.key} is part of a backfill, and a backfill never touches what is live"
    if newest is None:
        return "nothing is published yet"
    if facts.days.last_key != newest:
        return f"{facts.days.last_key} is not the newest published partition, which is {newest}"
    return None
