"""Feast's PostgreSQL online store, guarded: an older value never overwrites a newer one, and connections heal.

The tables, `apply`, `plan` and `teardown` are Feast's own; writing and connecting are ours.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import struct
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from datetime import datetime
from typing import Any, LiteralString

from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id, extract_text_and_num
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
)
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import RepoConfig
from psycopg import AsyncConnection, Connection, sql
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from mlforge.features.stores.rows import EncodedRows, FoundRow, OnlineAges, Row, aware, count_writes, note_writes

__all__ = ["GuardedOnlineStore", "GuardedOnlineStoreConfig", "count_writes"]

_CONNECT_SECONDS = 5.0

_CREATE = """
CREATE TEMP TABLE incoming (
    entity_key bytea, feature_name text, value bytea, value_text text, event_ts timestamptz, created_ts timestamptz
) ON COMMIT DROP
"""
_COPY = "COPY incoming (entity_key, feature_name, value, value_text, event_ts, created_ts) FROM STDIN (FORMAT binary)"
_COPY_TYPES = ["bytea", "text", "bytea", "text", "timestamptz", "timestamptz"]
_NEWEST = """
    SELECT DISTINCT ON (entity_key, feature_name) *
    FROM incoming
    ORDER BY entity_key, feature_name, event_ts DESC, created_ts DESC NULLS LAST
"""
# Rows go in by the order of their keys, so that two writers never wait for each other.
_MERGE = """
WITH newest AS ({newest}), written AS (
    INSERT INTO {table} AS present (entity_key, feature_name, value, value_text, event_ts, created_ts)
    SELECT entity_key, feature_name, value, value_text, event_ts, created_ts FROM newest
    ON CONFLICT (entity_key, feature_name) DO UPDATE SET
        value = EXCLUDED.value, value_text = EXCLUDED.value_text,
        event_ts = EXCLUDED.event_ts, created_ts = EXCLUDED.created_ts
    WHERE (EXCLUDED.event_ts, coalesce(EXCLUDED.created_ts, '-infinity'))
       >= (present.event_ts, coalesce(present.created_ts, '-infinity'))
    RETURNING present.entity_key
)
SELECT (SELECT count(DISTINCT entity_key) FROM written), (SELECT count(DISTINCT entity_key) FROM newest)
"""
_AGES = """
SELECT count(*), coalesce(sum(rows), 0)::bigint, max(newest), count(*) FILTER (WHERE newest < %(oldest)s)
FROM (SELECT count(*) AS rows, max(event_ts) AS newest FROM {table} GROUP BY entity_key) AS entities
"""
# COPY's binary format: a header, rows of lengths and contents, an end; instants are microseconds since 2000.
_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_COLUMNS, _LENGTH, _INSTANT = struct.pack("!h", 6), struct.Struct("!i"), struct.Struct("!iq")
_ABSENT = _LENGTH.pack(-1)
_YEAR_2000 = 946_684_800_000_000
_CHUNK = 2_000


class GuardedOnlineStoreConfig(PostgreSQLOnlineStoreConfig):  # type: ignore[misc]
    """Feast's own settings of the PostgreSQL online store."""

    type: str = "mlforge.features.stores.online.GuardedOnlineStore"


class GuardedOnlineStore(PostgreSQLOnlineStore):  # type: ignore[misc]
    """Feast's PostgreSQL online store whose values never go back in time."""

    _pool: ConnectionPool | None = None
    _pool_owner: int | None = None
    _async_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnectionPool] | None = None

    @contextlib.contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Generator[Connection, Any, Any]:
        with self._open_pool(config).connection() as connection:
            if connection.autocommit != autocommit:
                connection.set_autocommit(autocommit)
            yield connection

    def _open_pool(self, config: RepoConfig) -> ConnectionPool:
        # A pool does not survive a fork: its threads stay in the parent.
        if self._pool is None or self._pool_owner != os.getpid():
            self._pool = ConnectionPool(
                **_pool_arguments(config), check=ConnectionPool.check_connection, open=True, name="online"
            )
            self._pool_owner = os.getpid()
            atexit.register(self._pool.close)
        return self._pool

    @contextlib.asynccontextmanager
    async def _get_conn_async(
        self, config: RepoConfig, autocommit: bool = False
    ) -> AsyncGenerator[AsyncConnection, Any]:
        if self._async_pools is None:
            self._async_pools = weakref.WeakKeyDictionary()
        loop = asyncio.get_running_loop()
        pool = self._async_pools.get(loop)
        if pool is None:
            pool = AsyncConnectionPool(
                **_pool_arguments(config), check=AsyncConnectionPool.check_connection, open=False, name="online"
            )
            self._async_pools[loop] = pool
            await pool.open()
        async with pool.connection() as connection:
            if connection.autocommit != autocommit:
                await connection.set_autocommit(autocommit)
            yield connection

    async def close(self) -> None:
        """Close the connections of this process."""
        self.close_pool()
        if self._async_pools is not None:
            pool = self._async_pools.pop(asyncio.get_running_loop(), None)
            if pool is not None:
                await pool.close()

    def close_pool(self) -> None:
        """Close the connections of synchronous calls."""
        if self._pool is not None and self._pool_owner == os.getpid():
            atexit.unregister(self._pool.close)
            self._pool.close()
        self._pool = None

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FoundRow]:
        """Return time and values per key; without names all features (Feast's own query fails then)."""
        names = requested_features or [feature.name for feature in table.features]
        rows: list[Any] = super().online_read(config, table, entity_keys, names)
        return rows

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FoundRow]:
        """Return what `online_read` does, without blocking the loop."""
        names = requested_features or [feature.name for feature in table.features]
        rows: list[Any] = await super().online_read_async(config, table, entity_keys, names)
        return rows

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows, except those older than what is there; an equal age is a correction and is written."""
        name = _table(config, table)
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(_CREATE)
            with cursor.copy(_COPY) as copy:
                copy.set_types(_COPY_TYPES)
                for row in _cells(data, config.entity_key_serialization_version):
                    copy.write_row(row)
            found = _merge(cursor, name, _NEWEST)
        note_writes(*found)
        if progress:
            progress(len(data))

    def write_rows(self, config: RepoConfig, table: FeatureView, rows: EncodedRows) -> None:
        """Write serialised rows by the same rule; each entity stands in them once."""
        name = _table(config, table)
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(_CREATE)
            with cursor.copy(_COPY) as copy:
                for chunk in _copy_chunks(rows):
                    copy.write(chunk)
            found = _merge(cursor, name, "SELECT * FROM incoming")
        note_writes(*found)

    def ages(self, config: RepoConfig, table: FeatureView, oldest: datetime | None) -> OnlineAges:
        """Return how old the rows of a view are.

        Args:
            config: Feast's configuration.
            table: The view.
            oldest: What is older counts as stale; None where nothing is.
        """
        name = _table(config, table)
        with self._get_conn(config) as connection:
            if connection.execute("SELECT to_regclass(%s)", [f'"{name}"']).fetchone() == (None,):
                return OnlineAges()
            found = connection.execute(sql.SQL(_AGES).format(table=sql.Identifier(name)), {"oldest": oldest}).fetchone()
        return OnlineAges(*found) if found is not None else OnlineAges()


def _table(config: RepoConfig, view: FeatureView) -> str:
    """Return the name of a view's table, of the version that it has now."""
    name: str = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return name


def _merge(cursor: Any, table: str, newest: LiteralString) -> tuple[int, int]:
    """Merge what came in into a table; return how many entities were written, of how many."""
    cursor.execute(sql.SQL(_MERGE).format(table=sql.Identifier(table), newest=sql.SQL(newest)))
    written, offered = cursor.fetchone()
    return written, offered


def _copy_chunks(rows: EncodedRows) -> Iterator[bytes]:
    """Yield rows as COPY reads them, one per entity and feature, by the order of their keys."""
    order = sorted(range(len(rows.keys)), key=rows.keys.__getitem__)
    columns = sorted(zip(rows.features, rows.values, rows.texts, strict=True), key=lambda column: column[0])
    named = [(_sized(name.encode()), values, texts) for name, values, texts in columns]
    yield _COPY_HEAD
    for start in range(0, len(order), _CHUNK):
        parts: list[bytes] = []
        for place in order[start : start + _CHUNK]:
            head = _COLUMNS + _sized(rows.keys[place])
            tail = _instant(rows.event_times[place]) + _instant(rows.created_times[place])
            for name, values, texts in named:
                value = values[place]
                text = _ABSENT if texts is None else _sized_text(texts[place])
                parts += (head, name, _LENGTH.pack(len(value)), value, text, tail)
        yield b"".join(parts)
    yield _COPY_END


def _sized(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


def _sized_text(text: str | None) -> bytes:
    return _ABSENT if text is None else _sized(text.encode())


def _instant(microseconds: int | None) -> bytes:
    return _ABSENT if microseconds is None else _INSTANT.pack(8, microseconds - _YEAR_2000)


def _pool_arguments(config: RepoConfig) -> dict[str, Any]:
    store = config.online_store
    keywords = _get_conn_kwargs(store)
    keywords["options"] += " -c timezone=UTC"
    return {
        "conninfo": _get_conninfo(store),
        "min_size": store.min_conn,
        "max_size": store.max_conn,
        "timeout": _CONNECT_SECONDS,
        "kwargs": {**keywords, "connect_timeout": int(_CONNECT_SECONDS)},
    }


def _cells(data: list[Row], version: int) -> Iterator[tuple[Any, ...]]:
    for entity_key, values, event_time, created_time in data:
        key = serialize_entity_key(entity_key, entity_key_serialization_version=version)
        event, created = aware(event_time), aware(created_time) if created_time else None
        for feature, value in values.items():
            text, _ = extract_text_and_num(value, False)
            yield key, feature, value.SerializeToString(), text, event, created
