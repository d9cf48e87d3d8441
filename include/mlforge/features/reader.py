"""Features of single requests from the online store, as fast as one connection gives them.

Requests that run at once share a round trip: while one query runs, the next ones gather. Feast is not imported; what it
would look up per call stands in the plan.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features.online import judge
from mlforge.features.plan import OnlinePlan
from mlforge.features.stores.encoding import decode_value, key_encoder
from mlforge.settings import get_settings

READ_SECONDS = 2.0
LARGEST_BATCH = 200
# One plan for good: by primary key, whatever the tables' statistics were when the first request came.
_OPTIONS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
_BRANCH = "SELECT {tag}, entity_key, feature_name, value, event_ts FROM {table} WHERE entity_key = ANY(%b)"

Keys = tuple[bytes | None, ...]
Found = dict[bytes, tuple[datetime, dict[str, Any]]]
RowFeatures = tuple[dict[str, Any], dict[str, datetime | None], list[str]]


@dataclass
class OnlineReader:
    """Reads features row by row over one connection, which it opens anew when it was lost.

    Attributes:
        plan: What is read.
        moment: Request field with the instant that the prediction is for.
    """

    plan: OnlinePlan
    moment: str
    url: str = field(default_factory=lambda: get_settings().postgres_url(), repr=False)
    _waiting: list[tuple[Keys, asyncio.Future[list[Found]]]] = field(default_factory=list, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _connection: psycopg.AsyncConnection[Any] | None = field(default=None, init=False)
    _encoders: list[Callable[..., bytes]] = field(init=False)
    _wanted: list[frozenset[str]] = field(init=False)
    _query: sql.Composed = field(init=False)

    def __post_init__(self) -> None:
        self._encoders = [key_encoder(view.keys, view.key_types) for view in self.plan.views]
        self._wanted = [frozenset(view.features) for view in self.plan.views]
        self._query = sql.SQL(" UNION ALL ").join(
            sql.SQL(_BRANCH).format(tag=sql.Literal(tag), table=sql.Identifier(self.plan.db_schema, view.table))
            for tag, view in enumerate(self.plan.views)
        )

    async def read(self, row: Mapping[str, Any]) -> RowFeatures:
        """Return values, times and flags of one row, as `read_online` does of many.

        Args:
            row: The request's fields and what `model.derive` adds; times are aware.

        Returns:
            `<view>__<feature>` → value; view → event timestamp; flags.

        Raises:
            ServiceUnavailableError: The online store does not answer.
            FeatureError: A key is missing or of another type, or the online store lacks a table.
        """
        keys = self._keys(row)
        found: asyncio.Future[list[Found]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, found))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="features")
        return self._answer(keys, await found, row[self.moment])

    async def close(self) -> None:
        """Close the connection; what waits is not answered."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._disconnect()

    def _keys(self, row: Mapping[str, Any]) -> Keys:
        keys: list[bytes | None] = []
        try:
            for view, encode in zip(self.plan.views, self._encoders, strict=True):
                values = [row[name] for name in view.keys]
                keys.append(None if None in values else encode(values))
        except KeyError as error:
            raise FeatureError("the request lacks a key of its features", evidence=[str(error.args[0])]) from error
        return tuple(keys)

    def _answer(self, keys: Keys, found: list[Found], moment: datetime) -> RowFeatures:
        values: dict[str, Any] = {}
        times: dict[str, datetime | None] = {}
        flags: list[str] = []
        for view, key, rows in zip(self.plan.views, keys, found, strict=True):
            time, present = rows.get(key, (None, {})) if key is not None else (None, {})
            times[view.name] = time
            flag = judge(time, moment, view.ttl)
            if flag is not None:
                flags.append(f"{flag}:{view.name}")
            usable = present if flag in (None, "ahead") else {}
            for name in view.features:
                values[f"{view.name}__{name}"] = usable.get(name)
        return values, times, sorted(flags)

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            try:
                async with asyncio.timeout(READ_SECONDS):
                    found = await self._fetch([keys for keys, _ in batch])
            except Exception as error:
                await self._disconnect()
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(_failure(error))
                continue
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_result(found)

    async def _fetch(self, batch: list[Keys]) -> list[Found]:
        asked = [list({keys[tag] for keys in batch} - {None}) for tag in range(len(self.plan.views))]
        for attempt in (1, 2):
            try:
                connection = await self._connect()
                cursor = connection.cursor(binary=True)
                await cursor.execute(self._query, asked)
                return self._found(await cursor.fetchall())
            except psycopg.OperationalError:
                await self._disconnect()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

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
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self.url, autocommit=True, options=_OPTIONS, connect_timeout=2, prepare_threshold=0
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()


def _failure(error: Exception) -> Exception:
    if isinstance(error, psycopg.OperationalError | OSError | TimeoutError):
        failure: Exception = ServiceUnavailableError("the online store does not answer", hint="see `mlforge status`")
    elif isinstance(error, psycopg.Error):
        failure = FeatureError(f"the online store cannot be read: {error}", hint="run `mlforge features apply`")
    else:
        return error
    failure.__cause__ = error
    return failure
