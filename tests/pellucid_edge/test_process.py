import asyncio
import os
import signal
import socket
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from pellucid_edge.edge import Edge
from pellucid_edge.process import EdgeProcess
from pellucid_triton.errors import InvalidSettingError, StartError
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor
from tests.pellucid_edge.conftest import LOCAL, Running
from tests.pellucid_edge.eventually import eventually
from tests.pellucid_gateway.conftest import Gateway

pytestmark = pytest.mark.stack


def _process(tmp_path: Path, edge: Edge = LOCAL) -> EdgeProcess:
    return EdgeProcess(edge, tmp_path / "edge.log")


def test_a_killed_edge_is_restarted_at_the_same_addresses(tmp_path: Path) -> None:
    process = _process(tmp_path)
    restarted = threading.Event()

    def on_change(state: State) -> None:
        if state.phase is Phase.RUNNING and state.restarts:
            restarted.set()

    supervisor = Supervisor(process, BackOff(first_s=0.05), on_change)
    supervisor.start()
    addresses, pid = (process.address, process.admin_address), process.pid
    try:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert restarted.wait(30)
        assert (process.address, process.admin_address) == addresses
        assert process.pid != pid
        assert httpx.get(f"http://{process.address}/openapi.json", trust_env=False).status_code == 200
    finally:
        supervisor.stop()


def test_an_edge_starts_before_its_gateway_and_says_that_it_is_missing(tmp_path: Path) -> None:
    process = _process(tmp_path)
    process.start()
    try:
        answer = httpx.get(f"http://{process.address}/v1/models", trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (503, 14)
        assert httpx.get(f"http://{process.address}/healthz", trust_env=False).status_code == 503
    finally:
        process.stop()
    assert '"path":"/v1/models"' in process.log_file.read_text()


async def test_a_call_under_way_is_answered_while_the_edge_stops(gateway: Gateway, running: Running) -> None:
    gateway.backend.held["paint"] = asyncio.Event()

    async def is_held() -> bool:
        return bool(gateway.backend.batches)

    async with (
        running(f"127.0.0.1:{gateway.core.port}") as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        call = asyncio.create_task(http.post("/v1/models/paint:generate", json={}))
        await eventually(is_held)
        stopping = asyncio.create_task(asyncio.to_thread(edge.stop))
        await eventually(partial(_is_refused, edge.address))
        assert not stopping.done()
        gateway.backend.held["paint"].set()
        assert (await call).status_code == 200
        assert await stopping == 0


async def _is_refused(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def test_nothing_of_an_edge_is_left_after_its_end(tmp_path: Path) -> None:
    process = _process(tmp_path)
    process.start()
    assert process.pid is not None
    configuration = Path(psutil.Process(process.pid).cmdline()[2])
    assert configuration.is_file()
    assert process.stop() == 0
    assert not psutil.pid_exists(process.pid)
    assert not configuration.parent.exists()


def test_an_edge_that_ends_while_starting_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    process = _process(tmp_path, replace(LOCAL, gateway_ca="/no/such/file.pem"))
    with pytest.raises(StartError, match=r"the edge ended with status 1: [\s\S]*/no/such/file\.pem"):
        process.start()
    assert process.address == "127.0.0.1:0"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(InvalidSettingError, match=f"port {port} is in use on 127.0.0.1"):
            _process(tmp_path, replace(LOCAL, address=f"127.0.0.1:{port}")).start()
