"""Features of a request, from the online store, as training would have seen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.on_demand import OnDemand
from mlforge.features.plan import stored_projections
from mlforge.spec import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class OnlineFeatures:
    """Features of some rows.

    Attributes:
        columns: `<view>__<feature>` → a value per row; None where there is none that may be used.
        feature_times: Per row, view → event timestamp of what the online store holds, UTC; None where it has nothing.
        flags: Per row, sorted: `missing:<view>` (nothing is known), `stale:<view>` (older than the view's time to
            live at the moment of the request: its values are None), `ahead:<view>` (newer than the moment: a question
            about the past; its values are used).
    """

    columns: dict[str, list[Any]]
    feature_times: list[dict[str, datetime | None]]
    flags: list[list[str]]


@dataclass(frozen=True)
class _View:
    name: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: timedelta


@dataclass(frozen=True)
class _Plan:
    """What is read for a use case; made once per store."""

    views: tuple[_View, ...]
    text_keys: frozenset[str] = field(default_factory=frozenset)

    @property
    def keys(self) -> list[str]:
        return sorted({key for view in self.views for key in view.keys})

    @property
    def references(self) -> list[str]:
        return [name.replace("__", ":", 1) for view in self.views for name in view.features]


def read_online(store: FeatureStore, use_case: UseCase, request_rows: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
    """Return the features of each row from the online store.

    Args:
        store: From `open_store`.
        use_case: Whose feature service is read.
        request_rows: Columns of equal length: the request's fields and what `model.derive` adds; times are aware.

    Raises:
        ServiceUnavailableError: The online store does not answer.
        FeatureError: The feature service is not registered, or a key's column is missing.
    """
    import psycopg
    from redis.exceptions import ConnectionError
    from sqlalchemy.exc import OperationalError

    try:
        plan = _plan(store, use_case)
    except OperationalError as error:
        raise ServiceUnavailableError("the feature registry cannot be read", where=use_case.name) from error
    _require(plan, use_case, request_rows)
    try:
        response = store.get_online_features(
            plan.references, entity_rows=_entities(plan, request_rows), full_feature_names=True
        )
    except (psycopg.OperationalError, ConnectionError) as error:
        raise ServiceUnavailableError(
            "the online store does not answer", where=f"{use_case.name} features", hint="see `mlforge status`"
        ) from error
    except psycopg.Error as error:
        raise FeatureError(
            f"the online store cannot be read: {error}", where=use_case.name, hint="run `mlforge features apply`"
        ) from error
    answer = _answer(plan, use_case, request_rows, response.proto)
    answer.columns.update(OnDemand(use_case).compute({**request_rows, **answer.columns}))
    return answer


def _plan(store: FeatureStore, use_case: UseCase) -> _Plan:
    # Kept on the store itself: a store that is closed takes its plans along.
    plans: dict[str, _Plan] = store.__dict__.setdefault("_mlforge_plans", {})
    if use_case.name not in plans:
        plans[use_case.name] = _make_plan(store, use_case)
    return plans[use_case.name]


def _make_plan(store: FeatureStore, use_case: UseCase) -> _Plan:
    from feast.errors import FeastObjectNotFoundException
    from feast.types import String

    try:
        service = store.get_feature_service(use_case.feature_service)
        views, text_keys = [], set()
        for projection in stored_projections(service):
            view = store.get_feature_view(projection.name)
            views.append(
                _View(
                    name=projection.name_to_use(),
                    keys=tuple(view.join_keys),
                    features=tuple(f"{projection.name_to_use()}__{feature.name}" for feature in projection.features),
                    ttl=view.ttl or timedelta(0),
                )
            )
            text_keys |= {column.name for column in view.entity_columns if column.dtype == String}
    except FeastObjectNotFoundException as error:
        raise FeatureError(
            f"the feature service {use_case.feature_service!r} is not registered",
            where=use_case.name,
            hint="run `mlforge features apply`",
        ) from error
    return _Plan(tuple(views), frozenset(text_keys))


def _require(plan: _Plan, use_case: UseCase, rows: Mapping[str, Sequence[Any]]) -> None:
    missing = [name for name in [*plan.keys, use_case.prediction.moment] if name not in rows]
    if missing:
        raise FeatureError("the request lacks a key of its features", where=use_case.name, evidence=missing)


def _entities(plan: _Plan, rows: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    # Feast cannot serialise an absent key; what these read is never used, see _answer.
    return {
        key: [("" if key in plan.text_keys else -1) if value is None else value for value in rows[key]]
        for key in plan.keys
    }


def _answer(plan: _Plan, use_case: UseCase, rows: Mapping[str, Sequence[Any]], response: Any) -> OnlineFeatures:
    vectors = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    moments = rows[use_case.prediction.moment]
    size = len(moments)
    columns: dict[str, list[Any]] = {name: [None] * size for view in plan.views for name in view.features}
    times: list[dict[str, datetime | None]] = [{} for _ in range(size)]
    flags: list[list[str]] = [[] for _ in range(size)]
    for view in plan.views:
        for row in range(size):
            absent = any(rows[key][row] is None for key in view.keys)
            time = None if absent else _newest(vectors[name].event_timestamps[row] for name in view.features)
            times[row][view.name] = time
            flag = judge(time, moments[row], view.ttl)
            if flag is not None:
                flags[row].append(f"{flag}:{view.name}")
            if flag in (None, "ahead"):
                for name in view.features:
                    columns[name][row] = _value(vectors[name].values[row])
    return OnlineFeatures(columns, times, [sorted(row) for row in flags])


def judge(time: datetime | None, moment: datetime, ttl: timedelta) -> str | None:
    """Return the flag of a view whose value is of that time, None where it may simply be used."""
    if time is None:
        return "missing"
    if time > moment:
        return "ahead"
    # The offline join has the same bound, the oldest instant included.
    return "stale" if ttl and moment - time > ttl else None


def _newest(stamps: Any) -> datetime | None:
    newest = max(stamps, key=lambda stamp: (stamp.seconds, stamp.nanos))
    if newest.seconds == 0 and newest.nanos == 0:
        return None
    found: datetime = newest.ToDatetime(tzinfo=UTC)
    return found


def _value(value: Any) -> Any:
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    found = getattr(value, kind)
    return None if found != found else found
