"""PublishedPartition → the feature partitions that must be built again because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from mlforge_airflow.operators.base import StageOperator, skipped

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.stages import StageRun
    from mlforge_airflow.operators.run import RunFacts


class MarkStaleOperator(StageOperator):
    """Names the feature partitions, built before, whose input has changed since: a correction, late rows.

    Each gets an event of the asset `stale`, which starts *refresh* for it. This run's own partitions are left out,
    for it builds them itself. When nothing is stale, the task is skipped.
    """

    effect = "partition"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keys: list[str] = []

    def run_stage(self, run: StageRun) -> None:
        """Find them."""
        from mlforge import stages

        self._keys = stages.stale_keys(run)
        if not self._keys:
            raise skipped("no partition that was built before is stale")
        self.log.info("%d partitions are stale: %s", len(self._keys), ", ".join(self._keys))

    def event_extra(self, facts: RunFacts) -> dict[str, Any]:
        """Return what the events carry: that a person let this run act live says nothing about the refreshed days."""
        return {**super().event_extra(facts), "act_live": False}

    def _tell_listeners(self, context: Context, facts: RunFacts) -> None:
        # One event for each key; without any, Airflow would make one for the run's own.
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                event = context["outlet_events"][outlet]
                event.extra = self.event_extra(facts)
                event.add_partitions(self._keys)
