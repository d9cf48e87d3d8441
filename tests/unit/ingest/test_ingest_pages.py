from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from json_service import Answer, JsonService, Request, json_service
from mlforge.errors import RetryableError, SourceError
from mlforge.ingest.pages import has_records, pages_uri, read_pages
from mlforge.ingest.source import DAY, read_source
from mlforge.refs import PartitionRange
from mlforge.spec.sources import HttpSource
from processes import free_port

DAYS = PartitionRange.parse("2013-01-01..2013-01-02")
ROWS = [{"at": f"2013-01-0{1 + n % 2}T0{n}:00:00Z", "n": n} for n in range(7)]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], JsonService]]:
    """Start a service that answers so."""
    running: list[Any] = []

    def start(answer: Answer) -> JsonService:
        running.append(json_service(answer))
        service: JsonService = running[-1].__enter__()
        return service

    yield start
    for manager in running:
        manager.__exit__(None, None, None)


def source(url: str | None = None, **other: Any) -> HttpSource:
    address = {} if url is None else {"url": url}
    return HttpSource.model_validate({"kind": "http", "partition_column": "at", **address, **other})


def test_next_links_are_followed_relative_and_whole(serve: Callable[[Answer], JsonService]) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        place = int(request.params.get("from", 0))
        link = {3: f"http://{request.headers['host']}/items?from=3", 6: "?from=6"}.get(place + 3)
        return 200, {"data": {"rows": ROWS[place : place + 3]}, "links": {"next": link}}

    service = serve(answer)
    paging = {"kind": "next", "next": "links.next"}
    table = read_pages(source(service.url, path="items", records="data.rows", paging=paging, params={"x": 1}), DAYS)
    assert table["n"].to_pylist() == list(range(7))
    assert [request.params for request in service.asked] == [{"x": "1"}, {"from": "3"}, {"from": "6"}]


@pytest.mark.parametrize(
    ("paging", "asked"),
    [
        ({"kind": "offset", "limit": 3}, ["0", "3", "6", "7"]),
        ({"kind": "page", "first": 0}, ["0", "1", "2", "3"]),
    ],
)
def test_numbered_pages_end_with_an_empty_one(
    serve: Callable[[Answer], JsonService], paging: dict[str, Any], asked: list[str]
) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        place = int(request.params["offset"]) if "offset" in request.params else int(request.params["page"]) * 3
        return 200, ROWS[place : place + 3]

    service = serve(answer)
    assert len(read_pages(source(service.url, paging=paging), DAYS)) == 7
    assert [request.params.get("offset") or request.params.get("page") for request in service.asked] == asked


def test_the_bounds_and_the_key_are_written_into_the_request(serve: Callable[[Answer], JsonService]) -> None:
    service = serve(lambda request: (200, [row for row in ROWS if row["at"].startswith(request.path[1:11])]))
    table = read_source(
        source(service.url, path="{partition_key}/rows", params={"from": "{start}", "to": "{end}"}), DAYS
    )
    assert [str(day) for day in table[DAY].to_pylist()] == ["2013-01-01"] * 4 + ["2013-01-02"] * 3
    assert [request.path for request in service.asked] == ["/2013-01-01/rows", "/2013-01-02/rows"]
    assert service.asked[1].params == {"from": "2013-01-02T00:00:00Z", "to": "2013-01-03T00:00:00Z"}


def test_rows_of_other_days_are_an_error(serve: Callable[[Answer], JsonService]) -> None:
    service = serve(lambda _: (200, ROWS))
    with pytest.raises(SourceError, match=r"3 of 7 rows that it gave for 2013-01-01 are of other days \(2013-01-02T01"):
        read_source(source(service.url), PartitionRange.parse("2013-01-01"))


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_service_is_asked_again_later(serve: Callable[[Answer], JsonService], status: int) -> None:
    service = serve(lambda _: (status, "slow down"))
    with pytest.raises(RetryableError, match=f"answers {status}: slow down"):
        read_pages(source(service.url), DAYS)


def test_one_that_is_gone_or_too_slow_is_asked_again_later(serve: Callable[[Answer], JsonService]) -> None:
    with pytest.raises(RetryableError, match="does not answer"):
        read_pages(source(f"http://127.0.0.1:{free_port()}"), DAYS)

    def slow(_: Request) -> tuple[int, Any]:
        waiting.wait(5)
        return 200, []

    import threading

    waiting = threading.Event()
    service = serve(slow)
    with pytest.raises(RetryableError, match="does not answer: ReadTimeout"):
        read_pages(source(service.url, timeout_seconds=0.2), DAYS)
    waiting.set()


@pytest.mark.parametrize(
    ("status", "body", "other", "message"),
    [
        (404, "no such thing", {}, "answers 404: no such thing"),
        (401, "who are you", {}, "answers 401"),
        (302, "elsewhere", {}, "answers 302"),
        (200, "<html>", {}, r"the answer is no JSON.*\(<html>\)"),
        (200, {"rows": []}, {}, r"the answer is no list of objects \(rows\)"),
        (200, {"rows": [1]}, {"records": "rows"}, "no list of objects at 'rows'"),
        (200, {"rows": []}, {"records": "data.rows"}, r"no list of objects at 'data.rows' \(rows\)"),
        (200, ROWS, {"paging": {"kind": "page"}}, "the pages 1 and 2 are the same"),
        (200, {"rows": ROWS, "next": "http://127.0.0.2/"}, {"records": "rows", "paging": {"kind": "next"}},
         "the next page is at another address"),
    ],
)  # fmt: skip
def test_an_answer_that_is_wrong_is_one_error(
    serve: Callable[[Answer], JsonService], status: int, body: Any, other: dict[str, Any], message: str
) -> None:
    service = serve(lambda _: (status, body))
    with pytest.raises(SourceError, match=message):
        read_pages(source(service.url, **other), DAYS)


def test_more_pages_than_allowed_are_an_error(serve: Callable[[Answer], JsonService]) -> None:
    service = serve(lambda request: (200, [{"n": int(request.params["page"])}]))
    with pytest.raises(SourceError, match="more than 3 pages"):
        read_pages(source(service.url, paging={"kind": "page"}, max_pages=3), DAYS)
    assert len(service.asked) == 3


def test_credentials_travel_in_headers_and_are_never_shown(
    serve: Callable[[Answer], JsonService], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve(lambda request: (403, f"no: {request.headers['authorization']}"))
    host = service.url.removeprefix("http://")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"http://:geheim@{host}?X-Api-Key=versteckt")
    shop = source(connection="shop", path="rows")
    with caplog.at_level("DEBUG"), pytest.raises(SourceError, match=r"answers 403: no: Bearer \*\*\*") as raised:
        read_pages(shop, DAYS)
    assert service.asked[0].headers["authorization"] == "Bearer geheim"
    assert service.asked[0].headers["x-api-key"] == "versteckt"
    assert pages_uri(shop) == f"{service.url}/rows"
    assert "geheim" not in f"{raised.value} {caplog.text}"


def test_whether_a_partition_is_there_takes_one_page(serve: Callable[[Answer], JsonService]) -> None:
    service = serve(lambda request: (200, ROWS if request.params["day"] == "2013-01-01" else []))
    waiting = source(service.url, params={"day": "{partition_key}"}, paging={"kind": "page"})
    assert [has_records(waiting, day) for day in DAYS] == [True, False]
    assert len(service.asked) == 2
