"""The feature registry: what `feature_repo/<use_case>.py` declares, made known to Feast."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from types import ModuleType
from typing import Any

import psycopg

from mlforge import db
from mlforge.errors import FeatureError
from mlforge.features.store import online_store_kind, open_store
from mlforge.features.versions import keep_versions
from mlforge.python_files import import_file
from mlforge.refs import hash_files
from mlforge.settings import get_settings
from mlforge.spec import UseCase


def apply_features(use_case: UseCase) -> list[str]:
    """Register entities, views and services of a use case, create the online tables, and return the views' names.

    Belongs to start-up and upgrades; two calls at once follow each other, and a second one changes nothing.

    Raises:
        FeatureError: The module cannot be imported, or does not declare what use_case.yaml names.
    """
    with db.connect() as connection:
        db.lock_partition(connection, "feature registry")
        fingerprint = _fingerprint(use_case)
        if _applied(connection, use_case) == fingerprint:
            return sorted(use_case.features)
        path = get_settings().root / "feature_repo" / f"{use_case.name}.py"
        name = f"mlforge_features_{use_case.name}"
        module = import_file(path, name, error=FeatureError, hint="declare the feature views there")
        declared = _declared(module)
        _check(use_case, declared)
        store = open_store()
        _check_owner(use_case, declared, store)
        keep_versions(store, _of_kind(declared, "FeatureView"))
        with warnings.catch_warnings():
            # It warns that on-demand views are slow offline: ours are computed by the stages themselves.
            warnings.filterwarnings("ignore", message="On demand feature view is an experimental feature")
            store.apply(declared)
        store.refresh_registry()
        store.__dict__.pop("_mlforge_plans", None)
        connection.execute(
            "INSERT INTO ledger.feature_applications (use_case, fingerprint) VALUES (%s, %s)",
            [use_case.name, fingerprint],
        )
    return sorted(view.name for view in _of_kind(declared, "FeatureView"))


def _fingerprint(use_case: UseCase) -> str:
    """Return what the registry's content depends on: the declarations, the store's settings, Feast's version."""
    folder = get_settings().root / "feature_repo"
    names = (folder / f"{use_case.name}.py", folder / "feature_store.yaml", use_case.folder / "on_demand.py")
    files = [path for path in names if path.is_file()]
    views = ",".join(sorted({*use_case.features, *use_case.on_demand}))
    return f"{version('feast')} {hash_files(files)} {views} {use_case.feature_service} {online_store_kind()}"


def _applied(connection: psycopg.Connection[Any], use_case: UseCase) -> str | None:
    row = connection.execute(
        "SELECT fingerprint FROM ledger.feature_applications WHERE use_case = %s ORDER BY application_id DESC LIMIT 1",
        [use_case.name],
    ).fetchone()
    return row[0] if row else None


def _declared(module: ModuleType) -> list[Any]:
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
    from feast.data_source import DataSource

    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService, DataSource)
    found = [value for value in vars(module).values() if isinstance(value, kinds)]
    sources = [view.batch_source for view in found if isinstance(view, FeatureView) and view.batch_source is not None]
    return list({id(item): item for item in [*sources, *found]}.values())


def _of_kind(declared: list[Any], kind: str) -> list[Any]:
    return [item for item in declared if type(item).__name__ == kind]


def _check(use_case: UseCase, declared: list[Any]) -> None:
    where = f"feature_repo/{use_case.name}.py"
    for kind, what, named in (
        ("FeatureView", "views are not those of", set(use_case.features)),
        ("OnDemandFeatureView", "on-demand views are not those of `on_demand` in", set(use_case.on_demand)),
    ):
        found = {view.name for view in _of_kind(declared, kind)}
        if found != named:
            raise FeatureError(
                f"its {what} use_case.yaml",
                where=where,
                evidence=sorted(found ^ named),
                hint="name the same views in both",
            )
    services = {service.name for service in _of_kind(declared, "FeatureService")}
    if use_case.feature_service not in services:
        raise FeatureError(
            f"it declares no feature service {use_case.feature_service!r}", where=where, evidence=sorted(services)
        )


def _check_owner(use_case: UseCase, declared: list[Any], store: Any) -> None:
    """All use cases share one registry: a name belongs to the one that came first."""
    mine = {view.name for view in _of_kind(declared, "FeatureView")}
    for view in store.list_feature_views():
        owner = view.tags.get("use_case", use_case.name)
        if view.name in mine and owner != use_case.name:
            raise FeatureError(
                f"the view {view.name!r} belongs to the use case {owner!r}",
                where=f"feature_repo/{use_case.name}.py",
                hint="give it another name, also in use_case.yaml",
            )
