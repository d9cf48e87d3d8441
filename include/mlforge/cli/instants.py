"""Instants as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from mlforge.errors import TerminalError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_instant(text: str) -> datetime:
    """Return the instant that is written, UTC. A day means its last instant: what stood when it ended.

    Raises:
        TerminalError: It is no day, and no time with a zone.
    """
    written = text.strip()
    try:
        instant = datetime.fromisoformat(written)
    except ValueError:
        raise TerminalError(
            f"{text!r} is no time", hint="write a day as 2026-03-31, or a time with its zone as 2026-03-31T14:30+02:00"
        ) from None
    if _DAY.fullmatch(written):
        return datetime.combine(instant.date(), time(), UTC) + timedelta(days=1, microseconds=-1)
    if instant.tzinfo is None:
        raise TerminalError(f"{text!r} has no time zone", hint=f"write {written}Z for UTC, or {written}+02:00")
    return instant.astimezone(UTC)
