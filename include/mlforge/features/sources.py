"""Where the reader of single requests gets its rows: the tables of PostgreSQL, or the hashes of Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg import sql

from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.plan import OnlinePlan
from mlforge.features.store import PROJECT, online_store_url
from mlforge.features.stores.encoding import decode_instant, decode_value
from mlforge.settings import get_settings

# One plan for good: by primary key, whatever the tables' statistics were when the first request came.
_OPTIONS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
_BRANCH = "SELECT {tag}, entity_key, feature_name, value, event_ts FROM {table} WHERE entity_key = ANY(%b)"

# Key → time and values of a view's row.
Found = dict[bytes, tuple[datetime, dict[str, Any]]]


class RowSource(Protocol):
    """Gives the rows of the plan's views for serialised keys."""

    async def fetch(self, asked: Sequence[Sequence[bytes]]) -> list[Found]:
        """Return per view what there is for the keys asked of it."""

    async def close(self) -> None:
        """Close the connection; the next fetch opens another one."""

    def failure(self, error: Exception) -> Exception:
        """Return the error of ours that says what an error of the client means."""


def open_source(plan: OnlinePlan, url: str | None = None) -> RowSource:
    """Return where this installation's online features are read; nothing is connected yet.

    Args:
        plan: What is read.
        url: Another store than this installation's.

    Raises:
        SettingsError: The setting of the online store is wrong.
    """
    url = url or online_store_url() or get_settings().postgres_url()
    return PostgresRows(plan, url) if url.startswith("postgresql://") else RedisRows(plan, url)


@dataclass
class PostgresRows:
    """Rows of Feast's tables: one query for all views, over one connection, opened anew when it was lost."""

    plan: OnlinePlan
    url: str = field(repr=False)
    connection: psycopg.AsyncConnection[Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._wanted = [frozenset(view.features) for view in self.plan.views]
        self._query = sql.SQL(" UNION ALL ").join(
            sql.SQL(_BRANCH).format(tag=sql.Literal(tag), table=sql.Identifier(self.plan.db_schema, view.table))
            for tag, view in enumerate(self.plan.views)
        )

    async def fetch(self, asked: Sequence[Sequence[bytes]]) -> list[Found]:
        """Return per view what there is for the keys asked of it."""
        for attempt in (1, 2):
            try:
                connection = await self._connect()
                cursor = connection.cursor(binary=True)
                await cursor.execute(self._query, [list(keys) for keys in asked])
                return self._found(await cursor.fetchall())
            except psycopg.OperationalError:
                await self.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the connection; the next fetch opens another one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()

    def failure(self, error: Exception) -> Exception:
        """Return the error of ours that says what an error of the client means."""
        if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.OperationalError):
            return _unreadable(error)
        return _silent() if isinstance(error, psycopg.Error | OSError | TimeoutError) else error

    def _found(self, rows: list[tuple[Any, ...]]) -> list[Found]:
        found: list[Found] = [{} for _ in self.plan.views]
        for tag, key, name, value, time in rows:
            if name in self._wanted[tag]:
                newest, values = found[tag].setdefault(key, (time, {}))
                values[name] = decode_value(value)
                if time > newest:
                    found[tag][key] = (time, values)
        return found

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        if self.connection is None or self.connection.closed:
            self.connection = await psycopg.AsyncConnection.connect(
                self.url, autocommit=True, options=_OPTIONS, connect_timeout=2, prepare_threshold=0
            )
        return self.connection


@dataclass
class RedisRows:
    """Rows of Feast's hashes: one HMGET per view and key, sent together; the client opens lost connections anew."""

    plan: OnlinePlan
    url: str = field(repr=False)
    _client: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._tail = PROJECT.encode()
        self._fields = []
        for view in self.plan.views:
            name = view.table.removeprefix(f"{PROJECT}_")
            self._fields.append([*(_hashed(f"{name}:{feature}") for feature in view.features), f"_ts:{name}".encode()])

    async def fetch(self, asked: Sequence[Sequence[bytes]]) -> list[Found]:
        """Return per view what there is for the keys asked of it."""
        pipe = self._connect().pipeline(transaction=False)
        for keys, fields in zip(asked, self._fields, strict=True):
            for key in keys:
                pipe.hmget(key + self._tail, fields)
        answers = iter(await pipe.execute())
        found: list[Found] = []
        for view, keys in zip(self.plan.views, asked, strict=True):
            rows: Found = {}
            for key, (*values, time) in zip(keys, answers, strict=False):
                if time is not None:
                    decoded = [decode_value(value or b"") for value in values]
                    rows[key] = (decode_instant(time), dict(zip(view.features, decoded, strict=True)))
            found.append(rows)
        return found

    async def close(self) -> None:
        """Close the connections; the next fetch opens others."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.aclose()

    def failure(self, error: Exception) -> Exception:
        """Return the error of ours that says what an error of the client means."""
        from redis.exceptions import ConnectionError, RedisError, TimeoutError

        if isinstance(error, ConnectionError | TimeoutError | OSError):
            return _silent()
        return _unreadable(error) if isinstance(error, RedisError) else error

    def _connect(self) -> Any:
        if self._client is None:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            self._client = Redis.from_url(
                self.url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1), max_connections=2
            )
        return self._client


def _hashed(name: str) -> bytes:
    """Return a field's name as Feast writes it: murmur3, little-endian."""
    import mmh3

    return int(mmh3.hash(name, signed=False)).to_bytes(4, "little")


def _silent() -> ServiceUnavailableError:
    return ServiceUnavailableError("the online store does not answer", hint="see `mlforge status`")


def _unreadable(error: Exception) -> FeatureError:
    return FeatureError(f"the online store cannot be read: {error}", hint="run `mlforge features apply`")
