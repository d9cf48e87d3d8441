"""Which process writes a run, and whether it still lives."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta

# What takes seconds is surely not going on any more after that.
LONGEST = timedelta(hours=1)


def this_process() -> str:
    """Return host, process and since when it writes, as JSON."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "pid": pid, "started": _started(pid), "since": since})


def is_gone(text: str, now: datetime) -> bool:
    """Return whether the process that `this_process` named has ended, or can't be at it any more.

    Args:
        text: What it returned; anything else names no process that lives.
        now: The instant, UTC.
    """
    try:
        written = json.loads(text)
        if now - datetime.fromisoformat(written["since"]) > LONGEST:
            return True
        # Of another machine nothing is known but the time.
        return bool(written["host"] == socket.gethostname() and _started(int(written["pid"])) != written["started"])
    except (ValueError, KeyError, TypeError):
        return True


def _started(pid: int) -> float | None:
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
