"""When a failed stage is tried again."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from mlforge.errors import TerminalError

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_DELAY = timedelta(seconds=10)
LONGEST_DELAY = timedelta(minutes=5)


class BackoffWithJitter(RetryPolicy):
    """Waits twice as long each time, half to one and a half of it at random; gives up at once on a terminal error.

    Airflow's own jitter is a hash of the logical date, which partitioned runs lack: they would all retry together.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return whether to try again, and after which delay."""
        if isinstance(exception, TerminalError):
            return RetryDecision.fail(reason="trying again changes nothing")
        delay = min(FIRST_DELAY * 2 ** min(try_number - 1, 16), LONGEST_DELAY)
        return RetryDecision.retry(delay=delay * (0.5 + secrets.randbelow(1001) / 1000))
