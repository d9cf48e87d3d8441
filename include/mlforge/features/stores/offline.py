"""Feast's PostgreSQL offline store with a point-in-time join of its own: one LATERAL look-up per view and row.

What differs from the join that Feast generates: an index on (entity…, event_timestamp) is used; composite keys are
compared column by column; duplicate rows of the spine stay as many as they were; rows come back in their order; and a
row whose `created_timestamp` lies after the moment is not joined, always.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from feast.errors import InvalidEntityType
from feast.feature_view import FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
    PostgreSQLRetrievalJob,
    _get_entity_df_event_timestamp_range,
    _get_entity_schema,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from psycopg import sql

_POSITION = "__position"


class PointInTimeOfflineStoreConfig(PostgreSQLOfflineStoreConfig):  # type: ignore[misc]
    """Feast's own settings of the PostgreSQL offline store."""

    type: str = "mlforge.features.stores.offline.PointInTimeOfflineStore"


class PointInTimeOfflineStore(PostgreSQLOfflineStore):  # type: ignore[misc]
    """Feast's PostgreSQL offline store with one LATERAL join per view, and reads as Arrow."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """Return the features known at each row's moment; without a spine it is Feast's own query.

        Args:
            config: Feast's configuration.
            feature_views: Views that are joined.
            feature_refs: `view:feature`, in the order of the columns.
            entity_df: The spine: keys and one moment per row, as a frame or as SQL.
            registry: Feast's registry.
            project: Feast's project.
            full_feature_names: Whether columns are named `view__feature`.
            filter_by_created_timestamp: Taken as true whenever there is a spine.
            **kwargs: `start_date` and `end_date` where there is no spine.
        """
        if entity_df is None:
            return PostgreSQLOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project, full_feature_names,
                filter_by_created_timestamp, **kwargs,
            )  # fmt: skip
        if not isinstance(entity_df, pd.DataFrame | str):
            raise InvalidEntityType(type(entity_df))
        schema = _get_entity_schema(entity_df, config)
        moment = offline_utils.infer_event_timestamp_from_entity_df(schema)
        join_keys = offline_utils.get_expected_join_keys(project, feature_views, registry)
        offline_utils.assert_expected_columns_in_entity_df(schema, join_keys, moment)
        span = _get_entity_df_event_timestamp_range(entity_df, moment, config)
        contexts = offline_utils.get_feature_view_query_context(feature_refs, feature_views, registry, project, span)
        lookups = [_lookup(context, full_feature_names) for context in contexts]
        spine = Spine(entity_df, tuple(schema), moment)
        return SpineJoinJob(
            spine,
            lookups,
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in schema if name != moment],
                min_event_timestamp=span[0],
                max_event_timestamp=span[1],
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(*args: Any, **kwargs: Any) -> RetrievalJob:
        """Return the newest row per entity between two instants; read as Arrow."""
        return _as_arrow(PostgreSQLOfflineStore.pull_latest_from_table_or_query(*args, **kwargs))

    @staticmethod
    def pull_all_from_table_or_query(*args: Any, **kwargs: Any) -> RetrievalJob:
        """Return the rows between two instants; read as Arrow."""
        return _as_arrow(PostgreSQLOfflineStore.pull_all_from_table_or_query(*args, **kwargs))


@dataclass(frozen=True)
class Spine:
    """Rows that features are joined to: a frame or SQL, its columns, and the column with the moment."""

    rows: pd.DataFrame | str
    columns: tuple[str, ...]
    moment: str


@dataclass(frozen=True)
class Lookup:
    """What is looked up in one view for each row of the spine.

    Attributes:
        source: Table or query, as SQL.
        keys: Column of the source → column of the spine.
        features: Column of the source → name in the result.
        ttl: Seconds that a row may be old; 0 is forever.
    """

    source: str
    keys: dict[str, str]
    features: dict[str, str]
    event_column: str
    created_column: str | None
    ttl: int


def _lookup(context: offline_utils.FeatureViewQueryContext, full_names: bool) -> Lookup:
    prefix = f"{context.name}__" if full_names else ""
    pairs = [selection.split(" AS ") for selection in context.entity_selections]
    return Lookup(
        source=context.table_subquery,
        keys={column: key for column, key in pairs},
        features={name: prefix + context.field_mapping.get(name, name) for name in context.features},
        event_column=context.timestamp_field,
        created_column=context.created_timestamp_column or None,
        ttl=context.ttl,
    )


def join_query(spine: Spine, table: str, lookups: list[Lookup]) -> str:
    """Return the SQL that joins every view to the spine in a table, in the spine's order."""
    columns = [sql.SQL("e.{}").format(sql.Identifier(name)) for name in spine.columns]
    joins = []
    for number, lookup in enumerate(lookups):
        alias = sql.Identifier(f"v{number}")
        columns += [sql.SQL("{}.{}").format(alias, sql.Identifier(name)) for name in lookup.features.values()]
        joins.append(sql.SQL(" LEFT JOIN LATERAL ({}) AS {} ON true").format(_lateral(lookup, spine.moment), alias))
    query = sql.SQL("SELECT {} FROM {} AS e{} ORDER BY e.{}").format(
        sql.SQL(", ").join(columns), sql.Identifier(table), sql.SQL("").join(joins), sql.Identifier(_POSITION)
    )
    return query.as_string(None)


def _lateral(lookup: Lookup, moment_column: str) -> sql.Composed:
    moment = sql.SQL("e.{}").format(sql.Identifier(moment_column))
    event = sql.SQL("s.{}").format(sql.Identifier(lookup.event_column))
    conditions = [
        sql.SQL("s.{} = e.{}").format(sql.Identifier(column), sql.Identifier(key))
        for column, key in lookup.keys.items()
    ]
    conditions.append(sql.SQL("{} <= {}").format(event, moment))
    order = [sql.SQL("{} DESC").format(event)]
    if lookup.ttl:
        conditions.append(sql.SQL("{} >= {} - make_interval(secs => {})").format(event, moment, lookup.ttl))
    if lookup.created_column:
        created = sql.SQL("s.{}").format(sql.Identifier(lookup.created_column))
        conditions.append(sql.SQL("{} <= {}").format(created, moment))
        order.append(sql.SQL("{} DESC").format(created))
    return sql.SQL("SELECT {} FROM {} AS s WHERE {} ORDER BY {} LIMIT 1").format(
        sql.SQL(", ").join(
            sql.SQL("s.{} AS {}").format(sql.Identifier(column), sql.Identifier(name))
            for column, name in lookup.features.items()
        ),
        sql.SQL(lookup.source),
        sql.SQL(" AND ").join(conditions),
        sql.SQL(", ").join(order),
    )


class ArrowJob(PostgreSQLRetrievalJob):  # type: ignore[misc]
    """A query whose result is read as Arrow."""

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self._query_generator() as query, _connect(self.config.offline_store) as cursor:
            cursor.execute(query)
            return cursor.fetch_arrow_table()


class SpineJoinJob(PostgreSQLRetrievalJob):  # type: ignore[misc]
    """The join of a spine with feature views. The spine goes to a temporary table of the session that joins it."""

    def __init__(self, spine: Spine, lookups: list[Lookup], **arguments: Any) -> None:
        super().__init__(query="", **arguments)
        self._spine = spine
        self._lookups = lookups

    def to_sql(self) -> str:
        """Return the join; the spine is read from a temporary table named `spine`."""
        return join_query(self._spine, "spine", self._lookups)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        table = f"spine_{uuid.uuid4().hex}"
        with _connect(self.config.offline_store) as cursor:
            if isinstance(self._spine.rows, str):
                # Identifiers are ours; the query is what the caller passed to Feast.
                cursor.execute(
                    f'CREATE TEMP TABLE "{table}" AS '  # noqa: S608
                    f'SELECT q.*, row_number() OVER () AS "{_POSITION}" FROM ({self._spine.rows}) AS q'
                )
            else:
                cursor.adbc_ingest(table, _spine_table(self._spine), mode="create", temporary=True)
            cursor.execute(f'ANALYZE "{table}"')
            cursor.execute(join_query(self._spine, table, self._lookups))
            return cursor.fetch_arrow_table()


def _as_arrow(job: RetrievalJob) -> RetrievalJob:
    if not isinstance(job, PostgreSQLRetrievalJob):
        return job
    with job._query_generator() as query:
        return ArrowJob(query=query, config=job.config, full_feature_names=job.full_feature_names)


def _spine_table(spine: Spine) -> pa.Table:
    """Return the spine as Arrow with its rows numbered; times in microseconds, UTC."""
    assert isinstance(spine.rows, pd.DataFrame)  # noqa: S101
    table = pa.Table.from_pandas(spine.rows, preserve_index=False).replace_schema_metadata(None)
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            exact = pa.timestamp("us", tz="UTC")
            table = table.set_column(number, field.name, table.column(number).cast(exact))
        elif pa.types.is_null(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(pa.string()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    return table.append_column(_POSITION, pa.array(range(table.num_rows), pa.int64()))


@contextlib.contextmanager
def _connect(config: PostgreSQLConfig) -> Iterator[Any]:
    from urllib.parse import quote

    user, password = quote(config.user, safe=""), quote(config.password, safe="")
    address = f"postgresql://{user}:{password}@{config.host}:{config.port}/{quote(config.database, safe='')}"
    options = quote(f"-c timezone=UTC -c search_path={config.db_schema},public", safe="")
    with (
        dbapi.connect(f"{address}?sslmode={config.sslmode}&options={options}") as connection,
        connection.cursor() as cursor,
    ):
        yield cursor
