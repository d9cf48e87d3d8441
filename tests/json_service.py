"""A real HTTP server of a test's own, which answers as the test says and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


Answer = Callable[[Request], tuple[int, Any]]


@dataclass
class JsonService:
    """A running server.

    Attributes:
        answer: Returns status and body of a request; a body that is no text becomes JSON.
        asked: All requests.
    """

    url: str
    answer: Answer
    asked: list[Request] = field(default_factory=list)


@contextmanager
def json_service(answer: Answer) -> Iterator[JsonService]:
    """Give a running server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(parts.path, dict(parse_qsl(parts.query)), headers)
            service.asked.append(request)
            status, body = service.answer(request)
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = JsonService(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
