"""Reading source files, wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlforge.connections import Connection, resolve_connection, s3_options, without_password
from mlforge.errors import MLForgeError, RetryableError, SourceError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from mlforge.spec.sources import FileSource

_S3 = ("s3://", "s3a://")
# Whoever runs the stage tries again later.
_S3_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 1}}
_GONE = "the source file does not exist"


def file_uri(source: FileSource, key: str | None = None) -> str:
    """Return the address of a source's file: `package:NAME/path` becomes the path inside the installed package.

    Args:
        source: The source.
        key: Key of the partition whose file it is; None leaves `{partition_key}` in place.

    Raises:
        SourceError: The package is not installed.
    """
    path = source.path if key is None else source.path.format(partition_key=key)
    if not path.startswith("package:"):
        return path if "://" in path else str(Path(path).expanduser().resolve())
    package, _, relative = path.removeprefix("package:").partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the package {package!r} is not installed", where=path, hint=f"install {package}")
    return str(Path(spec.submodule_search_locations[0]) / relative)


class SourceFiles:
    """The files of a source, with the credentials that it takes to read them."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.connection = resolve_connection(source.connection) if source.connection else None

    def read(self, uri: str) -> bytes:
        """Return a file's content.

        Raises:
            SourceError: There is no such file, or it may not be read.
            RetryableError: The storage does not answer.
        """
        system, path = self._open(uri)
        try:
            content: bytes = system.cat_file(path)
        except Exception as error:  # each file system has errors of its own
            raise self._explain(error, uri) from None
        return content

    def read_all(self, uris: Sequence[str]) -> dict[str, bytes | None]:
        """Return the content of many files by address, at once where the storage can; None for one that is not there.

        Raises:
            SourceError: One may not be read.
            RetryableError: The storage does not answer.
        """
        places = {uri: self._open(uri) for uri in uris}
        paths = [path for _, path in places.values()]
        system = next(iter(places.values()))[0]
        found: dict[str, Any] = system.cat(paths, on_error="return") if len(paths) > 1 else {}
        contents: dict[str, bytes | None] = {}
        for uri, (_, path) in places.items():
            content = found[path] if path in found else self._try(system, path)
            if isinstance(content, FileNotFoundError):
                contents[uri] = None
            elif isinstance(content, Exception):
                raise self._explain(content, uri) from None
            else:
                contents[uri] = content
        return contents

    @staticmethod
    def _try(system: AbstractFileSystem, path: str) -> bytes | Exception:
        try:
            content: bytes = system.cat_file(path)
        except Exception as error:
            return error
        return content

    def exists(self, uri: str) -> bool:
        """Return whether there is a file with something in it.

        Raises:
            SourceError: It may not be looked at.
            RetryableError: The storage does not answer.
        """
        system, path = self._open(uri)
        try:
            return bool(system.info(path)["size"])
        except FileNotFoundError:
            return False
        except Exception as error:  # each file system has errors of its own
            raise self._explain(error, uri) from None

    def read_with_version(self, uri: str) -> tuple[str, bytes | None]:
        """Return what tells this version of a file from others, and its content if that had to be read for it.

        Raises:
            SourceError: There is no such file, or it may not be read.
            RetryableError: The storage does not answer.
        """
        if uri.startswith(_S3):
            system, path = self._open(uri)
            try:
                tag = str(system.info(path).get("ETag") or "")
            except Exception as error:  # each file system has errors of its own
                raise self._explain(error, uri) from None
            if tag:
                return hashlib.sha256(f"{uri} {tag}".encode()).hexdigest(), None
        content = self.read(uri)
        return hashlib.sha256(content).hexdigest(), content

    def _open(self, uri: str) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        options: dict[str, Any] = {}
        if uri.startswith(_S3):
            options = {"config_kwargs": _S3_TIMEOUTS, "use_listings_cache": False}
            options |= s3_options(self.connection) if self.connection else {}
        try:
            system, path = url_to_fs(uri, **options)
        except (ValueError, ImportError) as error:
            raise SourceError(
                f"no file system reads it: {error}", where=without_password(uri), hint="correct `source.path`"
            ) from None
        return system, path

    def _explain(self, error: Exception, uri: str) -> MLForgeError:
        where = without_password(uri)
        if isinstance(error, FileNotFoundError):
            return SourceError(_GONE, where=where, hint="correct `source.path`")
        text = _redacted(error, self.connection, uri)
        if isinstance(error, IsADirectoryError | PermissionError):
            return SourceError(
                f"the source file cannot be read: {text}", where=where, hint="correct `source.path` or its permissions"
            )
        if type(error).__name__ == "NoCredentialsError":
            return SourceError("there are no credentials for it", where=where, hint="set `source.connection`")
        return RetryableError(f"the source does not answer: {text}", where=where, hint="try again later")


def _redacted(error: Exception, connection: Connection | None, uri: str) -> str:
    text = " ".join(str(error).split()).replace(uri, without_password(uri))
    return connection.redact(text) if connection else text
