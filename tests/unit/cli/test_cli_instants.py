from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlforge.cli.instants import parse_instant
from mlforge.errors import TerminalError


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-31T14:30Z", datetime(2026, 3, 31, 14, 30, tzinfo=UTC)),
        ("2026-03-31T14:30+02:00", datetime(2026, 3, 31, 12, 30, tzinfo=UTC)),
        ("2026-03-31 14:30:05-05:00", datetime(2026, 3, 31, 19, 30, 5, tzinfo=UTC)),
        ("2026-03-31", datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_a_time_has_a_zone_and_a_day_means_its_end(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    ("text", "message"),
    [("2026-03-31T14:30", "no time zone"), ("tomorrow", "is no time"), ("2026-02-30", "is no time")],
)
def test_what_is_no_instant_is_refused(text: str, message: str) -> None:
    with pytest.raises(TerminalError, match=message):
        parse_instant(text)
