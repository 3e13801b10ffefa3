"""The admin port: metrics, probes and the debug page over HTTP, bound to loopback unless told otherwise.

It is served from threads of its own, so that a scrape costs the event loop nothing, and a loop that is stuck is told
of. What a page says of the gateway is gathered on the loop.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as LoopTimeout
from socketserver import ThreadingMixIn
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import PROCESS_COLLECTOR, disable_created_metrics, make_wsgi_app

from pellucid_gateway.telemetry import calls, debug, metrics
from pellucid_gateway.telemetry.facts import Facts, versions

LOOP_ANSWERS_S = 2.0
"""Seconds after which an event loop that does not answer is taken for stuck."""

READ_S = 5.0
"""Seconds that a client may be silent in the middle of its request."""

MAX_CONNECTIONS = 16
"""Connections served at the same time; more are closed at once."""

Start: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

_SAFE = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
]
_log = structlog.get_logger()


class AdminServer:
    """Serves `/metrics`, `/livez`, `/readyz` and `/debug` at `address` (`host:port`, port 0 for a free one).

    `facts` is called on `loop`, quickly. With `shared`, several processes may listen at the same address, and any of
    them answers. Raises OSError where the address cannot be listened at.
    """

    def __init__(
        self, address: str, facts: Callable[[], Facts], loop: asyncio.AbstractEventLoop, *, shared: bool = False
    ):
        self._facts = facts
        self._loop = loop
        # Their creation times would double the number of series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._metrics = make_wsgi_app(metrics.registry())
        host, _, port = address.rpartition(":")
        self._server = _Server(host.strip("[]"), int(port), shared)
        self._server.set_app(self._serve)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="admin", daemon=True)

    def start(self) -> None:
        """Start to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; blocks for a tenth of a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            return _answer(start, "405 Method Not Allowed", "text/plain", "GET only", ("Allow", "GET"))
        if path == "/metrics":
            scraped: Iterable[bytes] = self._metrics(environ, start)
            return scraped
        if path not in _PAGES:
            return _answer(start, "404 Not Found", "text/plain", " ".join(["/metrics", *_PAGES]))
        try:
            return _PAGES[path](start, *self._ask())
        except LoopTimeout:
            return _verdict(start, path[1:], [f"the event loop did not answer within {LOOP_ANSWERS_S:g} s"])

    def _ask(self) -> tuple[Facts, int]:
        """Ask the event loop, from another thread. Raises LoopTimeout."""
        asked = asyncio.run_coroutine_threadsafe(self._look(), self._loop)
        try:
            return asked.result(LOOP_ANSWERS_S)
        finally:
            asked.cancel()

    async def _look(self) -> tuple[Facts, int]:
        return self._facts(), len(asyncio.all_tasks())


def _livez(start: Start, facts: Facts, tasks: int) -> Iterable[bytes]:
    return _verdict(start, "livez", [])


def _readyz(start: Start, facts: Facts, tasks: int) -> Iterable[bytes]:
    return _verdict(start, "readyz", facts.faults)


def _debug(start: Start, facts: Facts, tasks: int) -> Iterable[bytes]:
    process = {sample.name: sample.value for family in PROCESS_COLLECTOR.collect() for sample in family.samples}
    known = {"asyncio_tasks": tasks, **process}
    page = debug.page(facts, versions(), known, metrics.handled(), tuple(calls.recent))
    return _answer(start, "200 OK", "text/html; charset=utf-8", page)


_PAGES = {"/livez": _livez, "/readyz": _readyz, "/debug": _debug}


def _verdict(start: Start, check: str, faults: list[str]) -> Iterable[bytes]:
    status = "503 Service Unavailable" if faults else "200 OK"
    return _answer(start, status, "application/json", json.dumps({"check": check, "reasons": faults}))


def _answer(start: Start, status: str, kind: str, body: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    data = body.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(data))), *_SAFE, *headers])
    return [data]


class _Handler(WSGIRequestHandler):
    timeout = READ_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: probes and scrapes come every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, shared: bool):
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self.allow_reuse_port = shared
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("admin connection failed", exc_info=True)
