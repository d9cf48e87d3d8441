"""A proxy before MLflow that can stop answering, and that can cut an upload short."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Method, path and body of a request → the body that is passed on; None to close the connection instead.
Change = Callable[[str, str, bytes], bytes | None]

_OWN = {"transfer-encoding", "connection", "content-length", "host"}


class TrackingProxy(ThreadingHTTPServer):
    """Passes requests on to MLflow, as long as it is up.

    Attributes:
        up: Whether it answers at all.
        change: What it does to requests; none to pass them on as they are.
        seen: Method and path of each request that was passed on.
    """

    daemon_threads = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.up = True
        self.change: Change | None = None
        self.seen: list[tuple[str, str]] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TrackingProxy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _forward(self) -> None:
        body: bytes | None = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.server.up and self.server.change is not None:
            body = self.server.change(self.command, self.path, body or b"")
        if not self.server.up or body is None:
            self.close_connection = True
            return
        self.server.seen.append((self.command, self.path))
        host, port = self.server.target
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            connection.request(self.command, self.path, body, {**headers, "Host": f"{host}:{port}"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - names of http.server


@contextmanager
def tracking_proxy(target: tuple[str, int]) -> Iterator[TrackingProxy]:
    """Run a proxy before an MLflow server."""
    with TrackingProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
