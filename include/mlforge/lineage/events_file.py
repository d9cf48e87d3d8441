"""The file that lineage events are appended to: its place, and what becomes of it when it grows."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path

LARGEST = 32 * 1024 * 1024  # bytes: some ten thousand events
KEPT = 8  # files that are full, beside the one that is written


def make_room(file: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
    """Create the file's folder, which the transport does not, and put a full file aside under the time of now.

    The transport opens the file anew for each event, so nothing is lost when it is renamed between two; of two
    processes that do so at once, one moves the beginning of the next file. The oldest beyond `kept` are removed.

    Args:
        file: Where events are appended.
        largest: From how many bytes on it is full.
        kept: How many full files stay.
    """
    # A disk that refuses must not fail the task: that it cannot write, the transport says.
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.stat().st_size < largest:
            return
        now = dt.datetime.now(dt.UTC)
        file.rename(file.with_name(f"{file.stem}-{now:%Y%m%dT%H%M%S.%f}-{os.getpid()}{file.suffix}"))
        full = sorted(file.parent.glob(f"{file.stem}-*{file.suffix}"))
        for old in full[: max(len(full) - kept, 0)]:
            old.unlink(missing_ok=True)
