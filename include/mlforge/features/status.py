"""How old each view is online, and what was built but is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from mlforge import db
from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.stale import stale_partitions
from mlforge.features.store import online_store, online_store_kind, open_store
from mlforge.features.versions import version_of, versions_to_serve
from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.spec import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore

# Since when each partition has its content, and whether that came online: in a run of its own, or of a range around it.
_PENDING: LiteralString = """
WITH builds AS (
    SELECT partition_key, built_at, feature_publication_id,
           content_hash IS DISTINCT FROM lag(content_hash) OVER (
               PARTITION BY partition_key ORDER BY feature_publication_id) AS changed
    FROM ledger.feature_publications WHERE use_case = %(use_case)s AND view = %(view)s
), built AS (
    SELECT partition_key, max(built_at) FILTER (WHERE changed) AS built_at FROM builds GROUP BY partition_key
)
SELECT b.partition_key FROM built AS b
WHERE NOT EXISTS (
    SELECT FROM ledger.materializations AS m
    WHERE m.use_case = %(use_case)s AND m.view = %(view)s AND m.view_version = %(version)s
      AND m.online_store = %(store)s AND m.materialized_at >= b.built_at
      AND CASE WHEN b.partition_key = %(static)s THEN true ELSE
          m.range_end >= (b.partition_key::date + %(step)s)::timestamp AT TIME ZONE 'UTC'
          AND m.range_start <= (b.partition_key::date)::timestamp AT TIME ZONE 'UTC' END)
ORDER BY b.partition_key
"""
_NEWEST_PARTITION: LiteralString = """
SELECT max(upper) FROM (
    SELECT CASE WHEN partition_key = %(static)s THEN %(static)s ELSE right(partition_key, 10) END AS upper
    FROM ledger.materializations
    WHERE use_case = %(use_case)s AND view = %(view)s AND view_version = %(version)s AND online_store = %(store)s
) AS keys
"""


@dataclass(frozen=True)
class ViewStatus:
    """A version of a view, as it stands online.

    Attributes:
        version: Its number; older ones stand here as long as a release reads them.
        current: Whether this is the version that is registered now.
        newest: Event time of the newest value online, UTC.
        age: Between that and the instant that is asked about; None where nothing is online or the view never ages.
        partition: Newest partition that was brought online.
        entities: Entities online.
        rows: Values online.
        ttl: Time to live; zero for ever.
        stale_share: Share of the entities whose values are too old to be used.
        pending: Partitions that are built, not online, and not yet too old.
        outdated: Partitions whose input has changed since they were built.
    """

    view: str
    version: int
    current: bool
    newest: datetime | None
    age: timedelta | None
    partition: str | None
    entities: int
    rows: int
    ttl: timedelta
    stale_share: float
    pending: tuple[str, ...]
    outdated: tuple[str, ...]


@dataclass(frozen=True)
class FeatureStatus:
    """How a use case's views stand online.

    Attributes:
        at: The instant that ages are counted to, UTC: now, or the end of a data set that has ended.
        store: `postgresql` or `redis`.
        views: One per version that is served.
    """

    use_case: str
    at: datetime
    store: str
    views: tuple[ViewStatus, ...]

    def too_old(self, limit: timedelta) -> list[ViewStatus]:
        """Return the views of which nothing is online, or whose newest value is older than the limit."""
        return [view for view in self.views if view.newest is None or (view.age is not None and view.age > limit)]


def feature_status(use_case: UseCase, at: datetime | None = None) -> FeatureStatus:
    """Return how old each view is online.

    Args:
        use_case: Whose views.
        at: Instant that ages are counted to; now, or the end of the schedule where that is past.

    Raises:
        FeatureError: A view is not registered.
        ServiceUnavailableError: PostgreSQL or the online store does not answer.
    """
    from feast.errors import FeastObjectNotFoundException
    from redis.exceptions import RedisError

    moment = at or _moment(use_case)
    outdated: dict[str, list[str]] = {}
    for part in stale_partitions(use_case):
        outdated.setdefault(part.view, []).append(part.partition_key)
    store = open_store()
    views: list[ViewStatus] = []
    try:
        with db.connect() as connection:
            for name in use_case.features:
                current, *older = versions_to_serve(connection, store, use_case, name)
                stale = tuple(outdated.get(name, ()))
                views.append(_view_status(connection, store, use_case, current, moment, stale))
                views += [
                    replace(_view_status(connection, store, use_case, each, moment, stale), current=False)
                    for each in older
                ]
    except FeastObjectNotFoundException as error:
        raise FeatureError(
            "a view is not registered", where=use_case.name, hint="run `mlforge features apply`"
        ) from error
    except (psycopg.OperationalError, RedisError) as error:
        raise ServiceUnavailableError("the online store does not answer", where=use_case.name) from error
    return FeatureStatus(use_case.name, moment, online_store_kind(), tuple(views))


def _moment(use_case: UseCase) -> datetime:
    now, last = datetime.now(UTC), use_case.last_day
    return now if last is None else min(now, PartitionRange(last, last, use_case.schedule.step_days).end)


def _view_status(
    connection: psycopg.Connection[Any],
    store: FeatureStore,
    use_case: UseCase,
    view: Any,
    at: datetime,
    outdated: tuple[str, ...],
) -> ViewStatus:
    ttl = view.ttl or timedelta(0)
    ages = online_store(store).ages(store.config, view, at - ttl if ttl else None)
    bound = {
        "use_case": use_case.name,
        "view": view.name,
        "version": version_of(view),
        "store": online_store_kind(),
        "static": STATIC_KEY,
        "step": use_case.schedule.step_days,
    }
    pending = [key for (key,) in connection.execute(_PENDING, bound).fetchall()]
    newest = connection.execute(_NEWEST_PARTITION, bound).fetchone()
    return ViewStatus(
        view=view.name,
        version=version_of(view),
        current=True,
        newest=ages.newest,
        # What never grows too old has no age that would matter.
        age=at - ages.newest if ages.newest is not None and ttl else None,
        partition=newest[0] if newest is not None else None,
        entities=ages.entities,
        rows=ages.rows,
        ttl=ttl,
        stale_share=ages.stale / ages.entities if ages.entities else 0.0,
        pending=tuple(key for key in pending if _matters(use_case, key, at, ttl)),
        outdated=outdated,
    )


def _matters(use_case: UseCase, key: str, at: datetime, ttl: timedelta) -> bool:
    """Return whether a partition's values would not be too old."""
    if key == STATIC_KEY or not ttl:
        return True
    return PartitionRange.parse(key, step_days=use_case.schedule.step_days).end >= at - ttl
