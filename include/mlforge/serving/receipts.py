"""Receipts: every answer has one, and a receipt that was answered is in the database.

Receipts of requests that run at once are written by one INSERT (group commit): while one batch commits, the next one
gathers; nobody waits for company. An answer waits for the commit of its batch, a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from mlforge.errors import ServiceUnavailableError
from mlforge.settings import get_settings

LARGEST_BATCH = 500
WRITE_SECONDS = 3.0
_CLOSE_SECONDS = 0.005
_INSERT = """
    INSERT INTO ledger.predictions (
        receipt_id, use_case, release_id, model_version, moment, request, features, feature_times, flags, score,
        label, latency_ms, key_name)
    SELECT r.receipt_id, r.use_case, r.release_id, r.model_version, r.moment, r.request, r.features, r.feature_times,
           r.flags, r.score, r.label, r.latency_ms, r.key_name
    FROM jsonb_to_recordset(%(receipts)s::jsonb) AS r (
        receipt_id uuid, use_case text, release_id bigint, model_version integer, moment timestamptz, request jsonb,
        features jsonb, feature_times jsonb, flags text[], score double precision, label text,
        latency_ms double precision, key_name text)
    ON CONFLICT (receipt_id) DO NOTHING
"""


def new_receipt_id() -> UUID:
    """Return an id whose order is the order of time: milliseconds first, then chance (UUID version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return UUID(int=value)


@dataclass(frozen=True)
class Receipt:
    """One answer and all it rests on.

    Attributes:
        moment: What the prediction is for, UTC.
        features: Feature name → value, as the model saw it.
        feature_times: View → event timestamp of the row that was read, UTC; None where there was none.
        score: The probability, or a regression's value.
        label: The class that the score means; None for a regression.
        latency_ms: From the request's arrival to its receipt, milliseconds.
        key_name: Name of the API key that asked.
    """

    receipt_id: UUID
    use_case: str
    release_id: int
    model_version: int
    moment: datetime
    request: Mapping[str, Any]
    features: Mapping[str, Any]
    feature_times: Mapping[str, datetime | None]
    score: float
    label: str | None
    latency_ms: float
    flags: Sequence[str] = ()
    key_name: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the columns as JSON values; a missing number is null."""
        return {name: _json_value(value) for name, value in vars(self).items()}


def receipts_json(receipts: Sequence[Receipt]) -> str:
    """Return receipts as one JSON array: at once where every number is finite, else value by value."""
    try:
        return json.dumps([vars(receipt) for receipt in receipts], default=_json_value, allow_nan=False)
    except ValueError:
        return json.dumps([receipt.row() for receipt in receipts], allow_nan=False)


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value.item() if hasattr(value, "item") else value


@dataclass
class ReceiptWriter:
    """Writes receipts in batches over one connection, which it opens anew when it was lost."""

    url: str = field(default_factory=lambda: get_settings().postgres_url(), repr=False)
    _waiting: list[tuple[Receipt, asyncio.Future[None]]] = field(default_factory=list, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _connection: psycopg.AsyncConnection[Any] | None = field(default=None, init=False)

    async def open(self) -> None:
        """Start to write; the first connection is made by the first batch, or by `ping`."""
        self._task = asyncio.create_task(self._run(), name="receipts")

    async def close(self) -> None:
        """Write what waits, then stop."""
        while self._waiting and self._task and not self._task.done():
            await asyncio.sleep(_CLOSE_SECONDS)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._disconnect()

    async def write(self, receipt: Receipt) -> None:
        """Return when the receipt is committed.

        Raises:
            ServiceUnavailableError: The database does not take it.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, done))
        self._wake.set()
        await done

    async def ping(self) -> bool:
        """Return whether the database can be reached."""
        try:
            async with asyncio.timeout(WRITE_SECONDS), await self._connect(fresh=True) as connection:
                await connection.execute("SELECT 1")
        except (OSError, psycopg.Error, TimeoutError):
            return False
        return True

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(0)
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            if not self._waiting:
                self._wake.clear()
            if batch:
                await self._settle(batch)

    async def _settle(self, batch: list[tuple[Receipt, asyncio.Future[None]]]) -> None:
        failure: Exception | None = None
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._insert(receipts_json([receipt for receipt, _ in batch]))
        except psycopg.DataError as error:
            # One receipt that the ledger cannot hold must not fail its neighbours.
            if len(batch) > 1:
                for single in batch:
                    await self._settle([single])
                return
            failure = ServiceUnavailableError("the receipt cannot be written")
            failure.__cause__ = error
        except Exception as error:
            await self._disconnect()
            failure = ServiceUnavailableError(f"receipts cannot be written: {type(error).__name__}")
            failure.__cause__ = error
        for _, done in batch:
            if not done.done():
                done.set_result(None) if failure is None else done.set_exception(failure)

    async def _insert(self, rows: str) -> None:
        for attempt in (1, 2):
            try:
                connection = await self._connect()
                await connection.execute(_INSERT, {"receipts": rows})
                return
            except psycopg.OperationalError:
                await self._disconnect()
                if attempt == 2:
                    raise

    async def _connect(self, *, fresh: bool = False) -> psycopg.AsyncConnection[Any]:
        if not fresh and self._connection is not None and not self._connection.closed:
            return self._connection
        connection = await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, options="-c timezone=UTC", connect_timeout=2, prepare_threshold=1
        )
        if not fresh:
            self._connection = connection
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()
