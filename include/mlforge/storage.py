"""Files: content-addressed, written once, on whatever fsspec reaches (a local directory, S3)."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from mlforge.errors import RetryableError, TerminalError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URI and the path on it."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(uri)
    return system, path


def put_bytes(folder: str, content: bytes, suffix: str) -> tuple[str, str]:
    """Store content under its own hash and return its URI and SHA-256, hexadecimal.

    A file that is there already is left alone. On a local disk the file appears whole or not at all.

    Args:
        folder: Path below the storage root, such as `raw/flight_delays/flights/2013-04-01`.
        content: What to store.
        suffix: File name ending with its dot.

    Raises:
        RetryableError: The disk is full or the storage does not answer.
    """
    digest = hashlib.sha256(content).hexdigest()
    name = f"{folder}/{digest}{suffix}"
    uri = f"{get_settings().storage}/{name}"
    system, path = filesystem(uri)
    if system.exists(path) and system.size(path) == len(content):
        return uri, digest
    return put_named(name, content), digest


def put_named(name: str, content: bytes) -> str:
    """Store content under a name, whole or not at all on a local disk, and return its URI.

    Args:
        name: Path below the storage root.
        content: What to store; it takes the place of what was there.

    Raises:
        RetryableError: The disk is full or the storage does not answer.
    """
    uri = f"{get_settings().storage}/{name}"
    system, path = filesystem(uri)
    try:
        if uri.startswith("file://"):
            _write_local(Path(path), content)
        else:
            system.pipe_file(path, content)
    except OSError as error:
        raise RetryableError(
            f"cannot write {uri}: {error.strerror or error}", hint="free space or check the storage, then run again"
        ) from error
    return uri


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_bytes(uri: str, *, content_hash: str | None = None) -> bytes:
    """Return a file's content.

    Args:
        uri: Its address.
        content_hash: SHA-256 that it must have.

    Raises:
        TerminalError: There is no such file, or its content is not what was stored.
    """
    system, path = filesystem(uri)
    try:
        content: bytes = system.cat_file(path)
    except FileNotFoundError as error:
        raise TerminalError(f"{uri} is gone", hint="run the stage that wrote it again") from error
    if content_hash is not None and hashlib.sha256(content).hexdigest() != content_hash:
        raise TerminalError(f"{uri} is not what was stored: its hash differs", hint="run the stage that wrote it again")
    return content
