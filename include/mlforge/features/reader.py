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

from mlforge.errors import FeatureError
from mlforge.features.on_demand import OnDemand
from mlforge.features.online import judge
from mlforge.features.plan import OnlinePlan
from mlforge.features.sources import Found, RowSource, open_source
from mlforge.features.stores.encoding import key_encoder

READ_SECONDS = 2.0
LARGEST_BATCH = 200

Keys = tuple[bytes | None, ...]
RowFeatures = tuple[dict[str, Any], dict[str, datetime | None], list[str]]


@dataclass
class OnlineReader:
    """Reads features row by row over one connection, which is opened anew when it was lost.

    Attributes:
        plan: What is read.
        moment: Request field with the instant that the prediction is for.
        url: Another online store than this installation's.
        on_demand: Computes features of the request and the stored ones.
    """

    plan: OnlinePlan
    moment: str
    url: str | None = field(default=None, repr=False)
    on_demand: OnDemand | None = None
    source: RowSource = field(init=False)
    _waiting: list[tuple[Keys, asyncio.Future[list[Found]]]] = field(default_factory=list, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _encoders: list[Callable[..., bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self._encoders = [key_encoder(view.keys, view.key_types) for view in self.plan.views]
        self.source = open_source(self.plan, self.url)

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
        values, times, flags = self._answer(keys, await found, row[self.moment])
        if self.on_demand is not None:
            columns = {name: [value] for name, value in {**row, **values}.items()}
            values |= {name: column[0] for name, column in self.on_demand.compute(columns).items()}
        return values, times, flags

    async def close(self) -> None:
        """Close the connection; what waits is not answered."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.source.close()

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
                await self.source.close()
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(self._failure(error))
                continue
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_result(found)

    async def _fetch(self, batch: list[Keys]) -> list[Found]:
        asked = [{key for keys in batch if (key := keys[tag]) is not None} for tag in range(len(self.plan.views))]
        return await self.source.fetch([list(keys) for keys in asked])

    def _failure(self, error: Exception) -> Exception:
        failure = self.source.failure(error)
        if failure is not error:
            failure.__cause__ = error
        return failure
