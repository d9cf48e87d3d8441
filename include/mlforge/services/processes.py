"""The processes of an installation: found again even when the supervisord that started them is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from mlforge.services import postgres
from mlforge.services.supervisord import MARKER
from mlforge.settings import Settings


def installation_processes(settings: Settings) -> list[psutil.Process]:
    """Return every process below this installation's supervisord, living or killed; never this one or its parents."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    marker = f"{MARKER}={settings.home}".encode()
    found = {process.pid: process for process in psutil.process_iter() if _carries(process.pid, marker)}
    postmaster = _postmaster(settings)
    if postmaster is not None:
        found[postmaster.pid] = postmaster
    for process in list(found.values()):
        with contextlib.suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True)}
    return [process for pid, process in sorted(found.items()) if pid not in spared]


def end_processes(processes: Iterable[psutil.Process], *, seconds: float = 10) -> int:
    """End processes, by SIGTERM and after the given seconds by SIGKILL; return how many there were."""
    living = list(processes)
    for process in living:
        with contextlib.suppress(psutil.Error):
            # PostgreSQL takes SIGTERM as a wish to wait for its clients, SIGINT as one to stop at once.
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _gone, stubborn = psutil.wait_procs(living, timeout=seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=seconds)
    return len(living)


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and its children; what several share counts in parts (PSS)."""
    try:
        process = psutil.Process(pid)
        pids = [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return 0
    return sum(own_memory_bytes(one) for one in pids)


def uptime_seconds(pid: int) -> float:
    """Return how long a process has been running."""
    try:
        return time.time() - float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def listening_addresses(pid: int) -> list[str]:
    """Return `address:port` of each TCP socket that a process or a child of it listens on."""
    found = set()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                for connection in one.net_connections(kind="tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr:
                        found.add((connection.laddr[0], connection.laddr[1]))
    return [f"{address}:{port}" for address, port in sorted(found)]


def port_holder(port: int) -> psutil.Process | None:
    """Return the process that listens on a TCP port, None if none does or it is not ours to see."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            address: tuple[Any, ...] = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address[1:] == (port,) and connection.pid:
                return psutil.Process(connection.pid)
    return None


def _carries(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _postmaster(settings: Settings) -> psutil.Process | None:
    data = postgres.working_directory(settings) / "data"
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def own_memory_bytes(pid: int) -> int:
    """Return the memory of one process, PSS; 0 if it may not be seen."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
