"""DVC as a library: quiet, without telemetry, its errors as ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlforge.errors import MLForgeError, ServiceUnavailableError

_LOGGERS = ("dvc", "dvc_data", "dvc_objects")
_HINT = "check the remote, its address and its credentials (docs/data-versions.md), then run the same command again"


class _Complaints(logging.Handler):
    """Keeps what DVC reports as warnings and errors: its exceptions often only count them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.lines.append(" ".join(f"{record.getMessage()}{f': {cause}' if cause else ''}".split())[:300])


@contextmanager
def dvc_calls(root: Path, what: str) -> Iterator[None]:
    """Keep DVC's output away, its caches inside the repository, and turn its errors into ours.

    Args:
        root: The data repository.
        what: What is done, for the message.

    Raises:
        ServiceUnavailableError: DVC could not do it; the same again may succeed.
    """
    # DVC reads these when it opens a repository; nothing of it shall lie outside of ours, or be told to anyone.
    os.environ["DVC_NO_ANALYTICS"] = "1"
    os.environ["DVC_SITE_CACHE_DIR"] = str(root / ".dvc" / "tmp" / "site")
    complaints = _Complaints()
    try:
        with _told_to(complaints):
            yield
    except MLForgeError:
        raise
    except Exception as error:  # whatever the file system of a remote raises: there is no common class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ServiceUnavailableError(
            f"{what} failed: {reason}", where=f"data repository {root}", evidence=complaints.lines, hint=_HINT
        ) from error


@contextmanager
def _told_to(handler: logging.Handler) -> Iterator[None]:
    import dvc.progress  # noqa: F401 sets up the loggers that are quietened here

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    progress = logging.getLogger("dvc.progress")
    level = progress.level
    try:
        for logger in loggers:
            logger.handlers, logger.propagate = [handler], False
        # A level above ERROR is how DVC's own bars are turned off.
        progress.setLevel(logging.CRITICAL)
        yield
    finally:
        progress.setLevel(level)
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
