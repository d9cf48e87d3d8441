"""supervisord, the parent of all services, reached over a unix socket that only its owner may open.

One per installation. Its configuration lies below `home/run`, one file per program, and holds no secret: a program
fetches its own secrets when it starts (`mlforge service exec …`).
"""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlforge.errors import ServiceUnavailableError
from mlforge.services.layout import log_path, private_directory, run_directory, socket_path, tail, write_private
from mlforge.services.program import escaped
from mlforge.settings import Settings, get_settings

MARKER = "MLFORGE_SUPERVISED"
"""Every process below supervisord carries this variable with the installation's home: so it can be found again."""

_RPC_SECONDS = 15.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_RPC_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    """Supervisor's own transport has no time limit; a supervisord that hangs must not hang the caller."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path)


def render_supervisord(settings: Settings) -> str:
    """Return supervisord's own configuration."""
    run = run_directory(settings)
    lines = [
        "[unix_http_server]",
        f"file = {escaped(str(socket_path(settings)))}",
        "chmod = 0600",
        "",
        "[supervisord]",
        "nodaemon = true",
        "silent = true",
        f"logfile = {escaped(str(log_path(settings, 'supervisord')))}",
        "logfile_maxbytes = 5MB",
        "logfile_backups = 1",
        f"pidfile = {escaped(str(run / 'supervisord.pid'))}",
        f"directory = {escaped(str(run))}",
        *(["user = root"] if os.geteuid() == 0 else []),
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "",
        "[include]",
        # A name relative to this file: the pattern takes no path with spaces.
        "files = programs/*.conf",
    ]
    return "\n".join(lines) + "\n"


def rpc(settings: Settings) -> Any:
    """Return supervisord's interface; its methods are supervisor's own."""
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(socket_path(settings)))
    return proxy.supervisor


def supervisord_pid(settings: Settings | None = None) -> int | None:
    """Return the pid of the supervisord that answers, None if none does."""
    try:
        return int(rpc(settings or get_settings()).getPID())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the right to change what supervisord runs."""
    path = run_directory(settings) / "supervision.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_supervisord(environment: Mapping[str, str] | None = None, *, seconds: float = 20) -> int:
    """Start supervisord in the background if none answers, and return its pid.

    Args:
        environment: The whole environment of supervisord, which its programs inherit; this process's by default.
        seconds: How long it may take to answer.

    Raises:
        SettingsError: Its directory cannot be used.
        ServiceUnavailableError: It does not answer in time.
    """
    settings = get_settings()
    for directory in (run_directory(settings), run_directory(settings) / "programs", settings.home / "logs"):
        private_directory(directory)
    private_directory(socket_path(settings).parent)
    with locked(settings):
        pid = supervisord_pid(settings)
        if pid is not None:
            return pid
        configuration = run_directory(settings) / "supervisord.conf"
        write_private(configuration, render_supervisord(settings))
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**(os.environ if environment is None else environment), MARKER: str(settings.home)},
            cwd=run_directory(settings),
            start_new_session=True,
        )
        return _wait_for_supervisord(settings, process, seconds)


def _wait_for_supervisord(settings: Settings, process: subprocess.Popen[bytes], seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        pid = supervisord_pid(settings)
        if pid is not None:
            return pid
        time.sleep(0.05)
    raise ServiceUnavailableError(
        "supervisord does not start",
        evidence=tail(log_path(settings, "supervisord"), 3),
        hint=f"see {log_path(settings, 'supervisord')}",
    )


def stop_supervisord(*, seconds: float = 60) -> None:
    """Stop supervisord with all its programs, in the order of their priorities; return when it is gone.

    Raises:
        ServiceUnavailableError: It is still there after the given seconds.
    """
    settings = get_settings()
    pid = supervisord_pid(settings)
    if pid is None:
        return
    with suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        rpc(settings).shutdown()
    deadline = time.monotonic() + seconds
    while supervisord_pid(settings) is not None or _alive(pid):
        if time.monotonic() > deadline:
            raise ServiceUnavailableError("supervisord does not stop", where=f"pid {pid}", hint="try again")
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  (bytes of /proc, read once)
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
