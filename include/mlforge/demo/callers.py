"""Callers of the demonstration: real flights asked about over HTTP, through the gateway, with an API key."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any

import httpx

from mlforge import storage
from mlforge.errors import ServingError
from mlforge.ingest import extract_partition
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase

_AT_ONCE = 8


@dataclass(frozen=True)
class Answers:
    """What the callers got.

    Attributes:
        sent: How many requests.
        answers: The bodies of those answered with 200.
        refused: Status → how many, of all others.
        median_ms: Median latency in milliseconds, as the callers saw it.
        p99_ms: 99th percentile, likewise.
    """

    sent: int
    answers: list[dict[str, Any]]
    refused: dict[int, int]
    median_ms: float
    p99_ms: float


def flights_of(use_case: UseCase, day: PartitionRange, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the requests that callers would send about a day's flights, in the order of their departure."""
    import io

    import pyarrow.parquet as pq

    raw = extract_partition(use_case, "flights", day)
    rows = pq.read_table(io.BytesIO(storage.read_bytes(raw.uri, content_hash=raw.content_hash))).to_pylist()
    requests = [
        {
            "carrier": row["carrier"],
            "flight": row["flight"],
            "tailnum": row["tailnum"],
            "origin": row["origin"],
            "dest": row["dest"],
            "scheduled_departure": row["time_hour"].replace(minute=row["minute"]).isoformat(),
        }
        for row in rows
    ]
    requests.sort(key=lambda request: str(request["scheduled_departure"]))
    return requests[:limit]


def ask(settings: Settings, use_case: UseCase, key: str, requests: list[dict[str, Any]]) -> Answers:
    """Send requests through the gateway, a few at once, and return what came back.

    Raises:
        ServingError: None was answered.
    """
    return asyncio.run(_ask(settings, use_case, key, requests))


async def _ask(settings: Settings, use_case: UseCase, key: str, requests: list[dict[str, Any]]) -> Answers:
    answers: list[dict[str, Any]] = []
    refused: dict[int, int] = {}
    latencies: list[float] = []
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        async with gate:
            begun = time.perf_counter()
            answer = await client.post(f"/{use_case.name}/predict", json=body)
            latencies.append((time.perf_counter() - begun) * 1000)
        if answer.status_code == httpx.codes.OK:
            answers.append({**answer.json(), "request": body})
        else:
            refused[answer.status_code] = refused.get(answer.status_code, 0) + 1

    headers = {"x-api-key": key}
    async with httpx.AsyncClient(base_url=settings.gateway_url, headers=headers, timeout=10, trust_env=False) as client:
        await asyncio.gather(*(one(client, body) for body in requests))
    if not answers:
        raise ServingError("no prediction was answered", where=settings.gateway_url, evidence=refused.items())
    ranks = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return Answers(len(requests), answers, refused, statistics.median(latencies), ranks[98])
