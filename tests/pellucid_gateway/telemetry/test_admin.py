import asyncio
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as classic

from pellucid.v1 import model_pb2
from pellucid_gateway.telemetry import metrics
from pellucid_gateway.telemetry.admin import MAX_CONNECTIONS, AdminServer
from pellucid_gateway.telemetry.facts import Facts
from tests.pellucid_triton.ipv6 import needs_ipv6

PAINT = model_pb2.Model(name="models/paint", state=model_pb2.STATE_AVAILABLE)
TORN = model_pb2.Model(name="models/torn", state=model_pb2.STATE_UNAVAILABLE, state_reason="no card")


@dataclass
class Admin:
    server: AdminServer
    client: httpx.AsyncClient
    facts: Facts = field(default_factory=lambda: Facts(reachable=True, draining=False, models=[TORN, PAINT]))

    def speak(self, data: bytes) -> bytes:
        """Send bytes as they are, and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: _received(connection), b""))


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    server = AdminServer("127.0.0.1:0", lambda: opened.facts, asyncio.get_running_loop())
    server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        opened = Admin(server, client)
        yield opened
    await asyncio.to_thread(server.stop)


async def test_a_gateway_that_can_serve_is_live_and_ready(admin: Admin) -> None:
    for check in ("livez", "readyz"):
        answer = await admin.client.get(f"/{check}")
        assert (answer.status_code, answer.json()) == (200, {"check": check, "reasons": []})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reachable": False}, "no Triton can be reached"),
        ({"models": [TORN]}, "no model is available"),
        ({"draining": True}, "draining"),
    ],
)
async def test_readiness_flips_with_the_reason_and_back_and_liveness_does_not(
    admin: Admin, changes: dict[str, object], reason: str
) -> None:
    well = admin.facts
    admin.facts = replace(well, **changes)
    answer = await admin.client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, [reason])
    assert (await admin.client.get("/livez")).status_code == 200
    admin.facts = well
    assert (await admin.client.get("/readyz")).status_code == 200


async def test_a_loop_that_is_stuck_is_told_of_and_metrics_are_still_given(admin: Admin) -> None:
    paths = ("/livez", "/readyz", "/debug", "/metrics")
    base = f"http://127.0.0.1:{admin.server.port}"
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as client, ThreadPoolExecutor() as askers:
        # Blocks the event loop on purpose, as a fault would.
        answers = list(askers.map(client.get, paths))
    assert [answer.status_code for answer in answers] == [503, 503, 503, 200]
    assert answers[0].json()["reasons"] == ["the event loop did not answer within 2 s"]


async def test_metrics_can_be_read_in_both_of_prometheus_formats(admin: Admin) -> None:
    metrics.in_flight("images", 17)
    for parse, accept in ((classic, "text/plain"), (open_metrics, "application/openmetrics-text; version=1.0.0")):
        answer = await admin.client.get("/metrics", headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith(accept.split(";")[0])
        families = {family.name: family for family in parse(answer.text)}
        assert [sample.value for sample in families["pellucid_in_flight_images"].samples] == [17]
        assert not [name for name in families if name.endswith("_created")]
        assert "process_resident_memory_bytes" in families


async def test_the_debug_page_is_whole_harmless_and_never_kept(admin: Admin) -> None:
    admin.facts = replace(admin.facts, settings={"api_key": "s3same"})
    answer = await admin.client.get("/debug")
    assert answer.status_code == 200
    assert answer.text.endswith("</html>")
    assert "<td>models/torn</td><td>unavailable</td><td></td><td>no card</td>" in answer.text
    assert "asyncio_tasks" in answer.text
    assert "s3same" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_nothing_else_is_served_and_nothing_can_be_changed(admin: Admin) -> None:
    for path in (b"/", b"/debug/", b"/../etc/passwd", b"/metrics/../debug", b"//debug/", b"/%00"):
        answer = await asyncio.to_thread(admin.speak, b"GET " + path + b" HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 404 "), path
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"):
        refused = await admin.client.request(method, "/metrics")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /readyz?<script> HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n", b"200"),
        (b"GET /metrics?name[]=%ff&name[]=\x00 HTTP/1.1\r\n\r\n", b"200"),
        (b"POST /readyz HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"405"),
        (b"GET /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"404"),
        (b"", b""),
        (b"\r\n" * 1000, b""),
    ],
    ids=str,
)
async def test_hostile_requests_are_refused_and_do_no_harm(admin: Admin, request_bytes: bytes, status: bytes) -> None:
    answer = await asyncio.to_thread(admin.speak, request_bytes)
    assert status in answer.split(b"\r\n")[0]
    assert (await admin.client.get("/readyz")).status_code == 200


async def test_connections_beyond_the_limit_are_closed_at_once_and_room_comes_back(admin: Admin) -> None:
    address = ("127.0.0.1", admin.server.port)
    # A keep-alive connection of the client's own would take a place.
    silent = [await asyncio.to_thread(socket.create_connection, address) for _ in range(MAX_CONNECTIONS)]
    with pytest.raises(httpx.TransportError):
        await admin.client.get("/livez")
    for connection in silent:
        connection.close()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            assert (await admin.client.get("/livez")).status_code == 200
            return
        except httpx.TransportError:
            continue
    pytest.fail("no room came back")


async def test_processes_that_share_an_address_answer_at_it_and_others_may_not(admin: Admin) -> None:
    loop = asyncio.get_running_loop()
    first = AdminServer("127.0.0.1:0", lambda: admin.facts, loop, shared=True)
    second = AdminServer(f"127.0.0.1:{first.port}", lambda: admin.facts, loop, shared=True)
    try:
        assert first.port == second.port
        with pytest.raises(OSError, match="in use"):
            AdminServer(f"127.0.0.1:{admin.server.port}", lambda: admin.facts, loop)
    finally:
        for server in (first, second):
            server.start()
            await asyncio.to_thread(server.stop)


@needs_ipv6
async def test_an_ipv6_address_is_listened_at(admin: Admin) -> None:
    server = AdminServer("[::1]:0", lambda: admin.facts, asyncio.get_running_loop())
    server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://[::1]:{server.port}/livez")).status_code == 200
    await asyncio.to_thread(server.stop)
