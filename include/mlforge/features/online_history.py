"""What the online store held of a view at an instant, as far as the ledger tells."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg

from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.spec import UseCase

_BUILDS: LiteralString = """
SELECT partition_key, built_at, content_hash FROM ledger.feature_publications
WHERE use_case = %s AND view = %s ORDER BY partition_key, feature_publication_id
"""
_BROUGHT: LiteralString = """
SELECT partition_key, range_start, range_end, materialized_at FROM ledger.materializations
WHERE use_case = %s AND view = %s ORDER BY materialized_at DESC
"""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Brought:
    key: str
    start: datetime
    end: datetime
    at: datetime


class OnlineHistory:
    """Builds and materializations of a view.

    Args:
        connection: To the project's database.
        use_case: Whose view.
        view: Its name.
    """

    def __init__(self, connection: psycopg.Connection[Any], use_case: UseCase, view: str) -> None:
        self._use_case = use_case
        self._static = use_case.features[view].static
        self._builds: dict[str, list[tuple[datetime, str]]] = {}
        for key, built_at, content_hash in connection.execute(_BUILDS, [use_case.name, view]).fetchall():
            self._builds.setdefault(key, []).append((built_at, content_hash))
        self._brought = [_Brought(*row) for row in connection.execute(_BROUGHT, [use_case.name, view]).fetchall()]

    def partition_of(self, event_time: datetime) -> str:
        """Return the key of the partition that holds rows of an event time."""
        if self._static:
            return STATIC_KEY
        return str(self._use_case.schedule.first_day_of((event_time - _TICK).date()))

    def explain(self, partition: str, at: datetime) -> str | None:
        """Return why a partition's rows may have been others online at an instant; None where they must be the same.

        Args:
            partition: Its key.
            at: The instant.

        Returns:
            `lag`: what is there now was built, but not online yet. `corrected`: it was built later.
        """
        builds = self._builds.get(partition, [])
        if not builds:
            return None
        brought = next((each.at for each in self._brought if each.at <= at and self._covers(each, partition)), None)
        now = builds[-1][1]
        if brought is not None and self._content(builds, brought) == now:
            return None
        return "lag" if self._content(builds, at) == now else "corrected"

    @staticmethod
    def _content(builds: list[tuple[datetime, str]], at: datetime) -> str | None:
        place = bisect_right([built_at for built_at, _ in builds], at)
        return builds[place - 1][1] if place else None

    def _covers(self, brought: _Brought, partition: str) -> bool:
        if partition == STATIC_KEY:
            return brought.key == STATIC_KEY
        days = PartitionRange.parse(partition, step_days=self._use_case.schedule.step_days)
        return brought.key != STATIC_KEY and brought.start <= days.start and days.end <= brought.end
