"""Secrets of this installation: generated at first use, one file each, 0600, in a directory that is 0700."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from mlforge.errors import SettingsError


def read_secret(directory: Path, name: str, *, generate: bool = True) -> str:
    """Return the secret of that name, generated at the first call.

    Two processes that ask at once get the same value: the file is linked into place, and the first one wins.

    Args:
        directory: Where secrets lie; created 0700 when it is missing.
        name: File name of the secret.
        generate: Whether a missing secret is made; otherwise it is an error.

    Raises:
        SettingsError: The secret is missing and may not be generated, or the directory cannot be used.
    """
    path = directory / name
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if not generate:
            raise SettingsError(f"the secret {name} does not exist", hint="run `make up` first") from None
    except OSError as error:
        raise SettingsError(f"cannot read the secret {path}: {error.strerror}", hint="check its owner") from error
    write_secret(directory, name, secrets.token_urlsafe(32), replace=False)
    return path.read_text(encoding="ascii").strip()


def write_secret(directory: Path, name: str, value: str, *, replace: bool = True) -> Path:
    """Write a secret atomically, 0600, and return its path.

    Raises:
        SettingsError: The directory cannot be created or written.
    """
    path = directory / name
    temporary = directory / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            temporary.unlink()
    except OSError as error:
        raise SettingsError(
            f"cannot write the secret {path}: {error.strerror}", hint="check the directory's owner and free space"
        ) from error
    return path
