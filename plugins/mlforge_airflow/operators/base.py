"""What every operator shares: the partitions of its run, the live rule, and what an error means."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from mlforge.errors import TerminalError
from mlforge_airflow.lineage import TellsLineage
from mlforge_airflow.operators.run import RunFacts, read_facts, why_not_live

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import Ref
    from mlforge.stages import StageRun

log = logging.getLogger(__name__)

ACT_ANYWAY = "To act anyway, run it with the parameter act_live: true."
Effect = Literal["partition", "live"]
EFFECTS = ("partition", "live")
_EFFECT_IN_WORDS = {
    "partition": "**Effect: partition.** It may run again, any time and in any order, with the same result.",
    "live": "**Effect: live.** It acts only for the newest published partition and never in a backfill, "
    "unless the run's parameter `act_live` is true; else it is skipped, and its log says why.",
}


class StageOperator(TellsLineage, BaseOperator):
    """Runs one stage for the partitions of its run and returns its ref.

    A subclass declares `effect`, and `stage` with `takes` or a `run_stage` of its own. Its docstring is shown in
    Airflow.

    Args:
        use_case: Name of the use case.
    """

    effect: ClassVar[Effect]
    template_fields: Sequence[str] = ("use_case",)
    # Of the task that runs it.
    run_facts: RunFacts

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if vars(cls).get("effect") not in EFFECTS:
            raise TypeError(f"{cls.__name__} declares no effect: set `effect` to 'partition' or 'live'")

    def __init__(self, *, use_case: str, doc_md: str | None = None, **kwargs: Any) -> None:
        super().__init__(doc_md=doc_md or describe(type(self), self.effect), **kwargs)
        self.use_case = use_case

    def run_stage(self, run: StageRun) -> Ref | None:
        """Make the one library call: that of `stage`."""
        from mlforge.stages import STAGES

        stage = STAGES[self.stage]
        ref = stage.function(run, stage.load_input(getattr(self, self.takes))) if self.takes else stage.function(run)
        return None if isinstance(ref, int) else ref

    def execute(self, context: Context) -> Any:
        """Run the stage and return its ref as JSON values."""
        return self.perform(context)

    def perform(self, context: Context) -> dict[str, Any] | None:
        """Do what `execute` does, also after the task has waited in the triggerer."""
        from mlforge.spec import load_use_case
        from mlforge.stages import StageRun

        with library_errors():
            use_case = load_use_case(self.use_case)
            facts = read_facts(context, use_case)
            self.log.info("%s: effect %s, partition %s", self.task_id, self.effect, facts.days.key)
            run = StageRun(use_case=use_case, days=facts.days, run_id=facts.run_id, who=facts.who, why=facts.why)
            self.run_facts = facts
            if self.effect == "live":
                self.require_live(run, facts)
            self.stage_run = run
            ref = self.stage_ref = self.run_stage(run)
        self._tell_listeners(context, facts)
        return None if ref is None else ref.dump()

    def require_live(self, run: StageRun, facts: RunFacts) -> None:
        """Skip the task unless its run may touch what is live.

        Raises:
            AirflowSkipException: It may not; the message says why.
        """
        require_live(facts, self.use_case)

    def event_extra(self, facts: RunFacts) -> dict[str, Any]:
        """Return what this task's asset events carry."""
        return facts.event_extra

    def _tell_listeners(self, context: Context, facts: RunFacts) -> None:
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                event = context["outlet_events"][outlet]
                event.extra = self.event_extra(facts)
                if not context.get("partition_key"):
                    event.add_partitions(facts.days.last_key)


def describe(operator: type, effect: str) -> str:
    """Return the text that Airflow shows beside a task: the operator's docstring and its effect in words."""
    text = inspect.cleandoc(operator.__doc__ or "").split("\n\nArgs:")[0]
    return f"{text}\n\n{_EFFECT_IN_WORDS[effect]}"


def require_live(facts: RunFacts, use_case: str) -> None:
    """Skip the task unless its run may touch what is live.

    Raises:
        AirflowSkipException: It may not; the message says why.
    """
    reason = live_obstacle(facts, use_case)
    if reason is not None:
        raise skipped(f"{reason}. {ACT_ANYWAY}")


def live_obstacle(facts: RunFacts, use_case: str) -> str | None:
    """Return why a run must not touch what is live; none when it may."""
    from mlforge.db.publications import newest_partition

    newest = None if facts.act_live or facts.backfill else newest_partition(use_case)
    return why_not_live(facts, newest)


def skipped(reason: str) -> AirflowSkipException:
    """Return the exception that skips the task, with the reason in its log: Airflow itself logs none."""
    log.info("skipped: %s", reason)
    return AirflowSkipException(reason)


@contextmanager
def library_errors() -> Iterator[None]:
    """Turn a terminal error of the library into one that Airflow never retries; others pass and are retried.

    Raises:
        AirflowFailException: Trying again changes nothing.
    """
    try:
        yield
    except TerminalError as error:
        raise AirflowFailException(str(error)) from error
