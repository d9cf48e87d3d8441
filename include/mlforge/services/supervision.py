"""Programs that are started, watched and stopped through supervisord, which restarts them when they die."""

from __future__ import annotations

import http.client
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlforge.errors import ServiceUnavailableError
from mlforge.services.layout import log_path, run_directory, tail, write_private
from mlforge.services.program import Program, render_program
from mlforge.services.supervisord import locked, rpc
from mlforge.settings import Settings, get_settings

__all__ = [
    "Program",
    "State",
    "program_states",
    "restart_program",
    "start_program",
    "stop_program",
    "wait_until_running",
]

_GONE = (10, 30)  # supervisor.xmlrpc.Faults: BAD_NAME, FAILED
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_ALREADY_ADDED = 90


@dataclass(frozen=True)
class State:
    """What supervisord says about a program: `state` is RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, …."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float
    description: str
    log: Path

    @property
    def running(self) -> bool:
        """Whether the program is up."""
        return self.state == "RUNNING"


def start_program(program: Program, *, seconds: float = 30, restart: bool = False, wait: bool = True) -> State:
    """Run a program under supervisord and return when it is up; one that runs already, unchanged, is left alone.

    Args:
        program: What to run; if a program of that name runs with another configuration, it is replaced.
        seconds: How long it may take to count as running.
        restart: Whether one that runs unchanged is stopped and started again.
        wait: Whether to wait until it is up; otherwise its state right after the start is returned.

    Raises:
        ServiceUnavailableError: There is no supervisord, or the program does not stay up; with the end of its log.
    """
    settings = get_settings()
    with locked(settings):
        write_private(_configuration(settings, program.name), render_program(settings, program))
        server = rpc(settings)
        try:
            _apply(server, program, restart=restart)
        except (OSError, http.client.HTTPException) as error:
            raise _no_supervisord() from error
    return wait_until_running(program.name, seconds=seconds) if wait else program_states()[program.name]


def _apply(server: Any, program: Program, *, restart: bool) -> None:
    ((added, changed, _removed),) = server.reloadConfig()
    if program.name in changed or (restart and program.name not in added):
        _remove_group(server, program.name, program.stop_wait_seconds + 5)
    if program.name in added or program.name in changed or restart:
        with _tolerating(_ALREADY_ADDED):
            server.addProcessGroup(program.name)
        return
    if server.getProcessInfo(program.name)["statename"] in {"STOPPED", "EXITED", "FATAL"}:
        with _tolerating(_ALREADY_STARTED):
            server.startProcess(program.name, False)


def wait_until_running(name: str, *, seconds: float = 30) -> State:
    """Return as soon as the program is up.

    Raises:
        ServiceUnavailableError: supervisord has given it up, or it is not up in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while True:
        state = program_states().get(name)
        if state is not None and state.running:
            return state
        if state is None or state.state == "FATAL" or time.monotonic() > deadline:
            log = log_path(get_settings(), name) if state is None else state.log
            raise ServiceUnavailableError(
                f"{name} does not start ({'unknown' if state is None else state.state})",
                evidence=tail(log, 5),
                hint=f"see `mlforge logs {name}`",
            )
        time.sleep(0.05)


def stop_program(name: str) -> None:
    """Stop a program and forget it; one that is not there is no error.

    Raises:
        ServiceUnavailableError: There is no supervisord.
    """
    settings = get_settings()
    with locked(settings):
        _configuration(settings, name).unlink(missing_ok=True)
        server = rpc(settings)
        try:
            _remove_group(server, name, seconds=90)
            server.reloadConfig()
        except (OSError, http.client.HTTPException) as error:
            raise _no_supervisord() from error


def restart_program(name: str, *, seconds: float = 60) -> State:
    """Stop a program that supervisord knows, start it again and return when it is up.

    Raises:
        ServiceUnavailableError: There is no supervisord, or the program does not come back.
    """
    server = rpc(get_settings())
    try:
        with _tolerating(*_GONE, _NOT_RUNNING):
            server.stopProcess(name, False)
        _wait_for_stop(server, name, seconds)
        with _tolerating(_ALREADY_STARTED):
            server.startProcess(name, False)
    except (OSError, http.client.HTTPException) as error:
        raise _no_supervisord() from error
    return wait_until_running(name, seconds=seconds)


def program_states() -> dict[str, State]:
    """Return the state of each program that supervisord knows.

    Raises:
        ServiceUnavailableError: There is no supervisord.
    """
    settings = get_settings()
    try:
        infos: list[dict[str, Any]] = rpc(settings).getAllProcessInfo()
    except (OSError, http.client.HTTPException) as error:
        raise _no_supervisord() from error
    return {info["name"]: _state(info) for info in infos}


def _state(info: Mapping[str, Any]) -> State:
    running = info["statename"] in {"RUNNING", "STARTING", "STOPPING"} and info["pid"]
    return State(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"] or None,
        uptime_seconds=float(info["now"] - info["start"]) if running else 0.0,
        description=info["spawnerr"] or info["description"],
        log=Path(info["stdout_logfile"]),
    )


def _remove_group(server: Any, name: str, seconds: float) -> None:
    with _tolerating(*_GONE, _NOT_RUNNING):
        server.stopProcessGroup(name, False)
    _wait_for_stop(server, name, seconds)
    with _tolerating(*_GONE):
        server.removeProcessGroup(name)


def _wait_for_stop(server: Any, name: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = {info["name"]: info["statename"] for info in server.getAllProcessInfo()}
        if states.get(name, "STOPPED") in {"STOPPED", "EXITED", "FATAL"}:
            return
        time.sleep(0.05)
    raise ServiceUnavailableError(f"{name} does not stop", hint=f"see `mlforge logs {name}`")


@contextmanager
def _tolerating(*codes: int) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in codes:
            raise ServiceUnavailableError(f"supervisord refuses: {fault.faultString}") from fault


def _configuration(settings: Settings, name: str) -> Path:
    return run_directory(settings) / "programs" / f"{name}.conf"


def _no_supervisord() -> ServiceUnavailableError:
    return ServiceUnavailableError("the services are not running", hint="run `mlforge up`")
