"""Feast's Redis online store, guarded: corrections of the same moment are written, older values never are.

The layout is Feast's own, and so are reading, `apply` and `teardown`: one hash per entity, with a field per feature and
`_ts:<view>`. Beside it stands `_known:<view>`: since when that value is known, and for which `_ts` this was said.
Comparing and writing are one script, so that two writers cannot pass each other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key_prefix
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, _versioned_fv_name
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import RepoConfig
from redis import Redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, TimeoutError
from redis.retry import Retry

from mlforge.features.stores.encoding import decode_instant, encode_instant
from mlforge.features.stores.rows import EncodedRows, FoundRow, OnlineAges, Row, microseconds, note_writes

_TIMEOUT_SECONDS = 5.0
_ATTEMPTS = 5
_PIPELINE = 2_000
_GLOB = re.compile(rb"[][*?^\\-]")
_MICROSECONDS = 1_000_000

# KEYS: the entity's hash. ARGV: field of the event time, field of the mark, event time (protobuf), its seconds, its
# nanoseconds, since when it is known (20 digits or nothing), seconds to live (or 0), then names and values of fields.
GUARD = """
local function instant(bytes)
  local numbers, place = {0, 0}, 1
  while place <= #bytes do
    local field = math.floor(bytes:byte(place) / 8)
    local value, complement, weight, size = 0, 0, 1, 0
    repeat
      place, size = place + 1, size + 1
      local low = bytes:byte(place) % 128
      value, complement = value + low * weight, complement + (127 - low) * weight
      if size < 9 then weight = weight * 128 else weight = 0 end
    until bytes:byte(place) < 128
    -- A negative number has ten bytes, of which nine hold its complement.
    numbers[field] = size == 10 and -complement - 1 or value
    place = place + 1
  end
  return numbers[1], numbers[2]
end
local key, time = KEYS[1], ARGV[3]
local present, mark = unpack(redis.call('HMGET', key, ARGV[1], ARGV[2]))
if present then
  local seconds, nanos = instant(present)
  local new_seconds, new_nanos = tonumber(ARGV[4]), tonumber(ARGV[5])
  if new_seconds < seconds or (new_seconds == seconds and new_nanos < nanos) then return 0 end
  if new_seconds == seconds and new_nanos == nanos then
    local bar = mark and mark:find('|', 1, true)
    local known = bar and mark:sub(bar + 1) == present and mark:sub(1, bar - 1) or ''
    if ARGV[6] < known then return 0 end
  end
end
redis.call('HSET', key, ARGV[1], time, ARGV[2], ARGV[6] .. '|' .. time, unpack(ARGV, 8))
if tonumber(ARGV[7]) > 0 then redis.call('EXPIRE', key, ARGV[7]) end
return 1
"""


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """Feast's own settings of the Redis online store, and its address as a URL.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`, as the redis client reads it; it may hold a password.
    """

    type: str = "mlforge.features.stores.redis.GuardedRedisOnlineStore"
    url: str


class GuardedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Feast's Redis online store whose values never go back in time."""

    _client: Redis | None = None
    _client_async: redis_asyncio.Redis | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def _get_client(self, online_store_config: GuardedRedisOnlineStoreConfig) -> Redis:
        if self._client is None:
            self._client = Redis.from_url(online_store_config.url, **connection_arguments(Retry))
        return self._client

    async def _get_client_async(self, online_store_config: GuardedRedisOnlineStoreConfig) -> redis_asyncio.Redis:
        # A connection belongs to its loop.
        loop = asyncio.get_running_loop()
        if self._client_async is None or self._loop is not loop:
            self._loop = loop
            self._client_async = redis_asyncio.Redis.from_url(
                online_store_config.url, **connection_arguments(AsyncRetry)
            )
        return self._client_async

    def close_pool(self) -> None:
        """Close the connections of synchronous calls."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FoundRow]:
        """Return time and values per key; nothing for an unknown key (Feast's own gives 1970)."""
        # Feast appends to the list that it is given.
        names = None if requested_features is None else list(requested_features)
        found = super().online_read(config, table, entity_keys, names)
        return [(None, None) if time is None or time.timestamp() == 0 else (time, values) for time, values in found]

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows, except those older than what is there; an equal age is a correction and is written."""
        version = config.entity_key_serialization_version
        newest: dict[bytes, tuple[int, int | None, Mapping[str, bytes]]] = {}
        for entity, values, event_time, created_time in data:
            key = serialize_entity_key(entity, entity_key_serialization_version=version)
            event, created = microseconds(event_time), microseconds(created_time) if created_time else None
            row = (event, created, {name: value.SerializeToString() for name, value in values.items()})
            if key not in newest or _age(row) >= _age(newest[key]):
                newest[key] = row
        self._write(config, table, ((key, *row) for key, row in newest.items()))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write what `online_write_batch` does, without blocking the loop."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def write_rows(self, config: RepoConfig, table: FeatureView, rows: EncodedRows) -> None:
        """Write serialised rows by the same rule; each entity stands in them once."""
        columns = zip(*rows.values, strict=True)
        cells = (dict(zip(rows.features, row, strict=True)) for row in columns)
        self._write(config, table, zip(rows.keys, rows.event_times, rows.created_times, cells, strict=True))

    def _write(
        self,
        config: RepoConfig,
        table: FeatureView,
        rows: Iterator[tuple[bytes, int, int | None, Mapping[str, bytes]]],
    ) -> None:
        view, settings = _versioned_fv_name(table, config), config.online_store
        client = self._get_client(settings)
        script = client.register_script(GUARD)
        fields = {feature.name: _mmh3(f"{view}:{feature.name}") for feature in table.features}
        head = [f"_ts:{view}", known_field(view)]
        tail, living = config.project.encode(), settings.key_ttl_seconds or 0
        written: list[int] = []
        pipe = client.pipeline(transaction=False)
        for key, event, created, values in rows:
            cells = [part for name, value in values.items() for part in (fields[name], value)]
            script(keys=[key + tail], args=[*head, *_times(event, created), living, *cells], client=pipe)
            if len(pipe) >= _PIPELINE:
                written += pipe.execute()
        written += pipe.execute()
        note_writes(sum(written), len(written))

    def ages(self, config: RepoConfig, table: FeatureView, oldest: datetime | None) -> OnlineAges:
        """Return how old the rows of a view are; every key of its entities is looked at.

        Args:
            config: Feast's configuration.
            table: The view.
            oldest: What is older counts as stale; None where nothing is.
        """
        client = self._get_client(config.online_store)
        prefix, tail = _redis_key_prefix(list(table.join_keys)), config.project.encode()
        keys = [key for key in client.scan_iter(_GLOB.sub(rb"\\\g<0>", prefix) + b"*", _PIPELINE) if key.endswith(tail)]
        pipe = client.pipeline(transaction=False)
        stamps: list[bytes | None] = []
        for place, key in enumerate(keys, start=1):
            pipe.hget(key, f"_ts:{_versioned_fv_name(table, config)}")
            if place % _PIPELINE == 0 or place == len(keys):
                stamps += pipe.execute()
        times = [decode_instant(stamp) for stamp in stamps if stamp is not None]
        stale = sum(oldest is not None and time < oldest for time in times)
        return OnlineAges(len(times), len(times) * len(table.features), max(times, default=None), stale)


def known_field(view: str) -> str:
    """Return the field that says since when a view's values are known."""
    return f"_known:{view}"


def connection_arguments(retry: type[Any]) -> dict[str, Any]:
    """Return how to connect so that a restart of Redis is survived.

    Args:
        retry: `Retry` of the synchronous or of the asynchronous client.
    """
    return {
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        "retry": retry(ExponentialBackoff(cap=1.0, base=0.05), _ATTEMPTS),
        "retry_on_error": [ConnectionError, TimeoutError],
    }


def _age(row: tuple[int, int | None, Any]) -> tuple[int, bool, int]:
    event, created, _ = row
    return event, created is not None, created or 0


def _times(event: int, created: int | None) -> list[Any]:
    """Return an event time as Feast writes it, its parts, and since when it is known in digits that sort."""
    seconds, micros = divmod(event, _MICROSECONDS)
    known = "" if created is None else f"{created + (1 << 62):020d}"
    return [encode_instant(event), seconds, micros * 1000, known]
