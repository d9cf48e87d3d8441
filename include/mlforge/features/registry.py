"""The feature registry in words: views, entities, features, versions, who reads them, and where they come from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.errors import FeatureError
from mlforge.features.on_demand import FILE, read_functions
from mlforge.features.store import open_store
from mlforge.features.versions import version_of
from mlforge.spec import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore

_RELEASES: LiteralString = """
SELECT r.release_id, r.model_version, p.view_version
FROM ledger.releases AS r
JOIN LATERAL (
    SELECT view_version FROM ledger.feature_plans AS p
    WHERE p.bento = r.bento AND p.view = %(view)s ORDER BY plan_id DESC LIMIT 1
) AS p ON true
WHERE r.use_case = %(use_case)s ORDER BY r.release_id DESC
"""


@dataclass(frozen=True)
class Column:
    """An entity's key or a feature."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class ReadingRelease:
    """A release whose plan reads a view."""

    release_id: int
    model_version: int
    view_version: int


@dataclass(frozen=True)
class Version:
    """A version of a view's schema.

    Attributes:
        since: When it was registered, UTC.
        features: Names of its features.
    """

    number: int
    since: datetime
    features: tuple[str, ...]


@dataclass(frozen=True)
class ViewDescription:
    """A feature view as it is registered now.

    Attributes:
        kind: `stored`, or `on demand` for one that is computed from the request and stored features.
        ttl_seconds: 0 for ever.
        services: Feature services that hold it.
        source: SQL file, or module, that computes it; below the use case's folder.
        offline_rows: Rows in the offline table; None where there is no table.
    """

    use_case: str
    name: str
    kind: str
    description: str
    owner: str
    version: int
    ttl_seconds: float
    keys: tuple[Column, ...]
    features: tuple[Column, ...]
    services: tuple[str, ...]
    versions: tuple[Version, ...]
    releases: tuple[ReadingRelease, ...]
    source: str
    offline_rows: int | None


def describe_views(use_case: UseCase) -> list[ViewDescription]:
    """Return every registered view of a use case, in the order of use_case.yaml.

    Raises:
        FeatureError: A view is not registered.
    """
    store = open_store()
    with db.connect() as connection:
        stored = [_describe(connection, store, use_case, name) for name in use_case.features]
    return [*stored, *(_describe_on_demand(store, use_case, name) for name in use_case.on_demand)]


def describe_view(use_case: UseCase, name: str) -> ViewDescription:
    """Return one registered view.

    Raises:
        FeatureError: There is none of that name, or it is not registered.
    """
    if name in use_case.on_demand:
        return _describe_on_demand(open_store(), use_case, name)
    if name not in use_case.features:
        views = [*use_case.features, *use_case.on_demand]
        near = difflib.get_close_matches(name, views, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(views)}"
        raise FeatureError(f"there is no view {name!r}", where=use_case.name, hint=hint)
    with db.connect() as connection:
        return _describe(connection, open_store(), use_case, name)


def _describe(
    connection: psycopg.Connection[Any], store: FeatureStore, use_case: UseCase, name: str
) -> ViewDescription:
    from feast.errors import FeastObjectNotFoundException

    try:
        view = store.get_feature_view(name)
    except FeastObjectNotFoundException as error:
        raise FeatureError(
            f"the view {name!r} is not registered", where=use_case.name, hint="run `mlforge features apply`"
        ) from error
    entities = {
        entity.join_key: entity.description
        for entity in (store.get_entity(entity_name) for entity_name in view.entities)
    }
    releases = connection.execute(_RELEASES, {"use_case": use_case.name, "view": name}).fetchall()
    return ViewDescription(
        use_case=use_case.name,
        name=name,
        kind="stored",
        description=view.description,
        owner=view.owner,
        version=version_of(view),
        ttl_seconds=view.ttl.total_seconds() if view.ttl else 0.0,
        keys=tuple(Column(each.name, _type(each), entities.get(each.name, "")) for each in view.entity_columns),
        features=tuple(Column(each.name, _type(each), each.description) for each in view.features),
        services=_services(store, name),
        versions=tuple(_versions(store, name)),
        releases=tuple(ReadingRelease(*row) for row in releases),
        source=f"features/{name}.sql",
        offline_rows=_offline_rows(connection, use_case, name),
    )


def _describe_on_demand(store: FeatureStore, use_case: UseCase, name: str) -> ViewDescription:
    """Describe a view that is computed; what Feast keeps of it is a pickle, and is not loaded."""
    function = read_functions(use_case.folder / FILE).get(name)
    return ViewDescription(
        use_case=use_case.name,
        name=name,
        kind="on demand",
        description=((function.__doc__ or "") if function is not None else "").strip().partition("\n")[0],
        owner=use_case.owner,
        version=0,
        ttl_seconds=0.0,
        keys=(),
        features=tuple(Column(feature, kind, "") for feature, kind in use_case.on_demand[name].items()),
        services=_services(store, name),
        versions=(),
        releases=(),
        source=FILE,
        offline_rows=None,
    )


def _type(column: Any) -> str:
    return str(column.dtype.to_value_type().name).lower()


def _services(store: FeatureStore, view: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            service.name
            for service in store.list_feature_services()
            if view in {projection.name for projection in service.feature_view_projections}
        )
    )


def _versions(store: FeatureStore, view: str) -> list[Version]:
    found = []
    for row in store.list_feature_view_versions(view):
        number = row["version_number"]
        schema = store.registry.get_feature_view_by_version(view, store.project, number)
        found.append(Version(number, row["created_timestamp"], tuple(feature.name for feature in schema.features)))
    return found


def _offline_rows(connection: psycopg.Connection[Any], use_case: UseCase, view: str) -> int | None:
    table = sql.Identifier("features", use_case.view_table(view))
    if connection.execute("SELECT to_regclass(%s)", [table.as_string(None)]).fetchone() == (None,):
        return None
    found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return None if found is None else int(found[0])
