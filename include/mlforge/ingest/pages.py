"""JSON over HTTP, page by page."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from mlforge.connections import Connection, resolve_connection, without_password
from mlforge.errors import RetryableError, ServiceUnavailableError, SourceError
from mlforge.ingest.formats import table_of
from mlforge.spec.sources import NextPage, Offsets

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.refs import PartitionRange
    from mlforge.spec.sources import HttpSource

_BUSY = (408, 425, 429)
_SHOWN = 120  # characters of an answer
# Airflow's own settings among an HTTP connection's extras; the others are headers.
_NO_HEADERS = {
    "timeout", "allow_redirects", "max_redirects", "proxies", "proxy", "verify", "stream", "cert", "trust_env",
    "check_response", "headers",
}  # fmt: skip

Record = Mapping[str, Any]


def pages_uri(source: HttpSource) -> str:
    """Return the address of a source, without credentials and parameters.

    Raises:
        SettingsError: There is no such connection.
    """
    connection = resolve_connection(source.connection) if source.connection else None
    return without_password(_address(source, connection))


def read_pages(source: HttpSource, days: PartitionRange | None) -> pa.Table:
    """Return the records of all pages for some days, with the fields of all of them as columns.

    Where a request names the partition's key, each partition is a request of its own.

    Raises:
        SourceError: An answer is refused or not as declared, or there are more pages than allowed.
        RetryableError: The service does not answer, or is too busy.
    """
    asked = list(days) if days is not None and source.one_per_partition else [days]
    records: list[Record] = []
    with _Service(source) as service:
        for part in asked:
            for page in service.pages(part):
                records += page
    return table_of(records)


def has_records(source: HttpSource, day: PartitionRange) -> bool:
    """Return whether the first page for a partition has a record.

    Raises:
        SourceError: The answer is refused or not as declared.
        RetryableError: The service does not answer, or is too busy.
    """
    with _Service(source) as service:
        return any(True for _ in next(service.pages(day), []))


def _address(source: HttpSource, connection: Connection | None) -> str:
    base = source.url or ""
    if connection is not None:
        scheme = connection.schema or ("https" if connection.kind == "https" else "http")
        port = f":{connection.port}" if connection.port else ""
        base = connection.host if "://" in connection.host else f"{scheme}://{connection.host}{port}"
    return f"{base.rstrip('/')}/{source.path.lstrip('/')}" if source.path else base


class _Service:
    """A service that gives pages."""

    def __init__(self, source: HttpSource) -> None:
        self.source = source
        self.connection = resolve_connection(source.connection) if source.connection else None
        self.address = _address(source, self.connection)
        self.where = without_password(self.address)

    def __enter__(self) -> _Service:
        import httpx

        # Its log lines hold the parameters of each request.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.client = httpx.Client(timeout=self.source.timeout_seconds, follow_redirects=False, **self._credentials())
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _credentials(self) -> dict[str, Any]:
        if self.connection is None:
            return {}
        extra = self.connection.extra
        headers = {name: value for name, value in extra.items() if name not in _NO_HEADERS and isinstance(value, str)}
        headers |= extra.get("headers") or {}
        if self.connection.login:
            return {"headers": headers, "auth": (self.connection.login, self.connection.password)}
        if self.connection.password:
            headers["Authorization"] = f"Bearer {self.connection.password}"
        return {"headers": headers}

    def pages(self, days: PartitionRange | None) -> Iterator[list[Record]]:
        """Yield the records of each page."""
        fill = _filler(days)
        url = fill(self.address)
        given = {name: fill(value) if isinstance(value, str) else value for name, value in self.source.params.items()}
        paging, last = self.source.paging, None
        place = 0 if paging is None or isinstance(paging, NextPage | Offsets) else paging.first
        for number in range(self.source.max_pages + 1):
            if number == self.source.max_pages:
                raise SourceError(
                    f"there are more than {number} pages", where=self.where, hint="raise `source.max_pages`"
                )
            params = None if isinstance(paging, NextPage) and number else {**given, **self._paging_params(place)}
            answer = self._ask(url, params)
            records = self._records(answer)
            if records and records == last:
                raise SourceError(
                    f"the pages {number} and {number + 1} are the same",
                    where=self.where,
                    hint="correct `source.paging`: the service seems to ignore it",
                )
            last = records
            yield records
            if paging is None or (not records and not isinstance(paging, NextPage)):
                return
            if isinstance(paging, NextPage):
                link = _at(answer, paging.next)
                if not link:
                    return
                url = self._same_service(urljoin(url, str(link)))
            else:
                place += len(records) if isinstance(paging, Offsets) else 1

    def _paging_params(self, place: int) -> dict[str, int]:
        paging = self.source.paging
        if paging is None or isinstance(paging, NextPage):
            return {}
        if isinstance(paging, Offsets):
            return {paging.parameter: place, paging.limit_parameter: paging.limit}
        return {paging.parameter: place}

    def _same_service(self, url: str) -> str:
        """Return a link, which must not lead the credentials to another service."""
        if urlsplit(url)[:2] != urlsplit(self.address)[:2]:
            raise SourceError(
                "the next page is at another address",
                where=self.where,
                evidence=[without_password(url)],
                hint="correct the service, or `source.paging`",
            )
        return url

    def _ask(self, url: str, params: Mapping[str, Any] | None) -> Any:
        with self._explained():
            response = self.client.get(url, params=params or None)
        said = self._redact(response.text[:_SHOWN])
        if response.status_code >= 500 or response.status_code in _BUSY:
            raise ServiceUnavailableError(
                f"it answers {response.status_code}: {said}", where=self.where, hint="try again later"
            )
        if response.status_code != 200:
            raise SourceError(
                f"it answers {response.status_code}: {said}",
                where=self.where,
                hint="correct `source.path`, `source.params` or the connection",
            )
        try:
            return response.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise SourceError(f"the answer is no JSON: {error}", where=self.where, evidence=[said]) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SourceError(f"it is no address: {self._redact(error)}", where=self.where) from None
        except httpx.HTTPError as error:
            raise RetryableError(
                f"the service does not answer: {type(error).__name__} {self._redact(error)}".rstrip(),
                where=self.where,
                hint="try again later",
            ) from None

    def _redact(self, text: object) -> str:
        return self.connection.redact(text) if self.connection else " ".join(str(text).split())

    def _records(self, answer: Any) -> list[Record]:
        path = self.source.records
        found = _at(answer, path) if path else answer
        if not isinstance(found, list) or any(not isinstance(record, dict) for record in found):
            has = ", ".join(sorted(answer)) if isinstance(answer, dict) else type(answer).__name__
            raise SourceError(
                f"the answer has no list of objects at {path!r}" if path else "the answer is no list of objects",
                where=self.where,
                evidence=[has],
                hint="correct `source.records`",
            )
        return found


def _at(answer: Any, path: str) -> Any:
    """Return what lies at a dotted path of an answer, None if nothing does."""
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


def _filler(days: PartitionRange | None) -> Callable[[str], str]:
    """Return a function that writes a partition's key and bounds into a text."""
    if days is None:
        return str
    values = {
        "partition_key": days.key,
        "start": f"{days.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{days.end:%Y-%m-%dT%H:%M:%SZ}",
    }
    return lambda text: text.format(**values)
