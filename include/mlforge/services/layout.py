"""Where the services of one installation keep their sockets, configuration and logs; nobody else may look."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from mlforge.errors import SettingsError
from mlforge.settings import Settings

_SOCKET_LIMIT = 92  # 107 bytes by the kernel, less the suffix of the name that supervisord binds first


def run_directory(settings: Settings) -> Path:
    """Return where sockets, pids and configuration lie."""
    return settings.home / "run"


def log_path(settings: Settings, name: str) -> Path:
    """Return the log of a program."""
    return settings.home / "logs" / f"{name}.log"


def socket_path(settings: Settings) -> Path:
    """Return supervisord's socket: below home, or in a short directory of our own when that path is too long."""
    path = run_directory(settings) / "supervisor.sock"
    if len(os.fsencode(path)) <= _SOCKET_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(settings.home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"mlforge-{os.geteuid()}-{digest}" / "supervisor.sock"


def private_directory(path: Path) -> Path:
    """Create a directory that only its owner may enter, and return it.

    Raises:
        SettingsError: It cannot be created, or belongs to someone else.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise SettingsError(f"{path} belongs to someone else", hint="remove it, or set MLFORGE_HOME")
        path.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"cannot use the directory {path}: {error.strerror}", hint="check its owner and free space"
        ) from error
    return path


def write_private(path: Path, text: str) -> Path:
    """Write a file atomically, 0600, and return its path.

    Raises:
        SettingsError: The disk is full or the directory belongs to someone else.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}", hint="check its owner and free space") from error
    return path


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
