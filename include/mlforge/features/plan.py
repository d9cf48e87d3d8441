"""What a release reads online: its views, their tables, keys and times to live, resolved once from Feast's registry."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mlforge import db
from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.stores.encoding import KEY_TYPES, VALUE_TYPES
from mlforge.features.versions import version_of

if TYPE_CHECKING:
    from feast import FeatureStore

FILE = "features.json"
ONLINE_SCHEMA = "online"
_RECORD = """
INSERT INTO ledger.feature_plans (bento, feature_service, view, view_version, features) VALUES (%s, %s, %s, %s, %s)
"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OnlineView(_Part):
    """A feature view as its rows lie in the online store.

    Attributes:
        name: As features are prefixed with it.
        table: Its table, without the schema.
        keys: Join keys.
        key_types: Feast's number for the type of each key.
        features: Names that the feature service asks for, without prefix.
        ttl_seconds: Older values are stale; 0 for never.
        version: Number of the view's version whose rows are read.
    """

    name: str
    table: str
    keys: list[str]
    key_types: list[int]
    features: list[str]
    ttl_seconds: float
    version: int = 0

    @property
    def ttl(self) -> timedelta:
        """The time to live, zero for ever."""
        return timedelta(seconds=self.ttl_seconds)


class OnlinePlan(_Part):
    """All that reading a feature service online needs to know; plain values, so that it can lie beside a model.

    Attributes:
        feature_service: Its name.
        db_schema: Schema of the tables.
        views: Views in the service's order.
    """

    feature_service: str
    db_schema: str
    views: list[OnlineView]


def make_plan(store: FeatureStore, feature_service: str) -> OnlinePlan:
    """Return how a feature service is read, as the registry says now.

    Raises:
        ServiceUnavailableError: The registry cannot be read.
        FeatureError: The service is not registered, or has a key or feature that is no scalar.
    """
    from feast.errors import FeastObjectNotFoundException
    from sqlalchemy.exc import OperationalError

    try:
        service = store.get_feature_service(feature_service)
        views = [_view(store, projection) for projection in stored_projections(service)]
    except OperationalError as error:
        raise ServiceUnavailableError("the feature registry cannot be read", where=feature_service) from error
    except FeastObjectNotFoundException as error:
        raise FeatureError(
            f"the feature service {feature_service!r} is not registered", hint="run `mlforge features apply`"
        ) from error
    return OnlinePlan(feature_service=feature_service, db_schema=ONLINE_SCHEMA, views=views)


def stored_projections(service: Any) -> list[Any]:
    """Return the views of a feature service that have rows; on-demand ones are computed."""
    return [projection for projection in service.feature_view_projections if projection.batch_source is not None]


def _view(store: FeatureStore, projection: Any) -> OnlineView:
    from feast.infra.online_stores.helpers import compute_table_id

    view = store.get_feature_view(projection.name)
    types = {column.name: _number(column.dtype) for column in view.entity_columns}
    wrong = [key for key in view.join_keys if types[key] not in KEY_TYPES]
    wrong += [feature.name for feature in projection.features if _number(feature.dtype) not in VALUE_TYPES]
    if wrong:
        raise FeatureError("only scalars can be served online", where=f"feature view {view.name}", evidence=wrong)
    return OnlineView(
        name=projection.name_to_use(),
        table=compute_table_id(store.project, view, store.config.registry.enable_online_feature_view_versioning),
        keys=list(view.join_keys),
        key_types=[types[key] for key in view.join_keys],
        features=[feature.name for feature in projection.features],
        ttl_seconds=(view.ttl or timedelta(0)).total_seconds(),
        version=version_of(view),
    )


def _number(dtype: Any) -> int:
    return int(dtype.to_value_type().value)


def write_plan(folder: Path, feature_service: str, bento: str | None = None) -> None:
    """Put the plan of a feature service into a folder, as the registry says now.

    Args:
        folder: Where it goes.
        feature_service: What is read.
        bento: Which bento this is for: the versions that it reads are kept fresh as long as it may answer.

    Raises:
        ServiceUnavailableError: The registry cannot be read.
        FeatureError: The service is not registered, or cannot be served.
    """
    from mlforge.features.store import open_store

    plan = make_plan(open_store(), feature_service)
    (folder / FILE).write_text(plan.model_dump_json(indent=2), encoding="utf-8")
    if bento is not None:
        with db.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                _RECORD, [[bento, feature_service, view.name, view.version, view.features] for view in plan.views]
            )


def read_plan(folder: Path, feature_service: str) -> OnlinePlan:
    """Return the plan that lies in a folder; where there is none, what the registry says: that imports Feast.

    Raises:
        ServiceUnavailableError: The registry cannot be read.
        FeatureError: The service is not registered, or cannot be served.
    """
    try:
        return OnlinePlan.model_validate_json((folder / FILE).read_bytes())
    except OSError:
        from mlforge.features.store import close_store, open_store

        try:
            return make_plan(open_store(), feature_service)
        finally:
            close_store()
