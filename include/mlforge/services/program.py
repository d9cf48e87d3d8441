"""A program as supervisord's configuration describes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlforge.errors import SettingsError
from mlforge.services.layout import log_path
from mlforge.settings import Settings


@dataclass(frozen=True)
class Program:
    """A process that supervisord keeps running.

    Args:
        name: Letters, digits, `-` and `_`.
        command: Program and arguments; no secret belongs here.
        environment: Added to the environment that supervisord was started with; no secret belongs here.
        directory: Working directory; the checkout by default.
        stop_signal: Such as `TERM`, without `SIG`.
        stop_wait_seconds: After this its whole process group is killed.
        stop_group: Whether the signal goes to the whole process group.
        priority: Lower ones start first and stop last.
        start_seconds: How long it must stay up to count as running.
        start_retries: Attempts, each a second later than the one before, until supervisord gives up.
        log: Where its output goes; `home/logs/<name>.log` by default.
        log_bytes: Size at which the log is rotated; three old ones are kept.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_signal: str = "TERM"
    stop_wait_seconds: int = 10
    stop_group: bool = True
    priority: int = 500
    start_seconds: int = 1
    start_retries: int = 10
    log: Path | None = None
    log_bytes: int = 10_000_000


def render_program(settings: Settings, program: Program) -> str:
    """Return the configuration of one program.

    Raises:
        SettingsError: A value cannot be written in supervisord's format.
    """
    environment = ",".join(f"{key}={_quoted(value)}" for key, value in sorted(program.environment.items()))
    values = {
        "command": escaped(shlex.join(program.command)),
        "directory": escaped(str(program.directory or settings.root)),
        "environment": environment,
        "priority": program.priority,
        "autostart": "true",
        "autorestart": "true",
        "startsecs": program.start_seconds,
        "startretries": program.start_retries,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_wait_seconds,
        "stopasgroup": str(program.stop_group).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": escaped(str(program.log or log_path(settings, program.name))),
        "stdout_logfile_maxbytes": program.log_bytes,
        "stdout_logfile_backups": 3,
    }
    lines = [f"{key} = {value}" for key, value in values.items() if value != ""]
    return "\n".join([f"[program:{program.name}]", *lines]) + "\n"


def escaped(value: str) -> str:
    """Return a value as supervisord's format wants it.

    Raises:
        SettingsError: The format cannot hold it.
    """
    if "\n" in value or " ;" in value or " #" in value:
        raise SettingsError(f"supervisord cannot take the value {value!r}", hint="choose a path without ` ;` or ` #`")
    return value.replace("%", "%%")


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    if quote in value or value[:1] in {"'", '"'} or value[-1:] in {"'", '"'}:
        raise SettingsError(
            f"supervisord cannot take the value {value!r}", hint="use one kind of quotes, not at an end"
        )
    return f"{quote}{escaped(value)}{quote}"
