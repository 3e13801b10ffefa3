import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_triton.errors import InvalidSettingError, StartError
from pellucid_triton.gateway_process import GatewayProcess
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor
from tests.pellucid_triton.ipv6 import needs_ipv6

_STAND_IN = "tests.pellucid_triton.stand_in_gateway"


def _gateway(tmp_path: Path, module: str, timeout_s: float = 30, address: str = "127.0.0.1:0") -> GatewayProcess:
    log = tmp_path / "gateway.log"
    return GatewayProcess(address, "127.0.0.1:8001", tmp_path, log, module, timeout_s)


class _Usurper(health_pb2_grpc.HealthServicer):
    """Says SERVING once the gateway has ended."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway

    def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        self._gateway.wait(1.9)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


def _take_address(server: grpc.Server, gateway: GatewayProcess) -> None:
    while gateway.address.endswith(":0"):
        time.sleep(0.001)
    server.add_insecure_port(gateway.address)
    server.start()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A stand-in for the gateway, not started."""
    process = _gateway(tmp_path, _STAND_IN)
    yield process
    process.stop()


def _health(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status)


def test_a_started_gateway_serves_at_its_address_and_knows_its_triton(gateway: GatewayProcess, tmp_path: Path) -> None:
    gateway.start()
    assert _health(gateway.address) == health_pb2.HealthCheckResponse.SERVING
    assert gateway.log_file.read_text().splitlines() == [
        f"PELLUCID_ADDRESS={gateway.address}",
        "PELLUCID_TRITON_ADDRESS=127.0.0.1:8001",
        f"PELLUCID_MODEL_REPOSITORY={tmp_path}",
    ]
    assert gateway.stop() == 0


def test_a_killed_gateway_is_restarted_at_the_same_address(gateway: GatewayProcess) -> None:
    restarted = threading.Event()

    def on_change(state: State) -> None:
        if state.phase is Phase.RUNNING and state.restarts:
            restarted.set()

    supervisor = Supervisor(gateway, BackOff(first_s=0.05), on_change)
    supervisor.start()
    address = gateway.address
    assert gateway.pid is not None
    os.kill(gateway.pid, signal.SIGKILL)
    assert restarted.wait(30)
    assert _health(address) == health_pb2.HealthCheckResponse.SERVING
    supervisor.stop()


def test_a_gateway_that_ends_while_starting_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, "tests.pellucid_triton.no_such_module")
    with pytest.raises(
        StartError, match=r"ended with status 1[\s\S]*No module named tests.pellucid_triton.no_such_module"
    ):
        gateway.start()


def test_a_gateway_that_never_serves_is_stopped_in_the_end(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, "tests.pellucid_triton.silent_process", timeout_s=0.3)
    with pytest.raises(StartError, match=r"was not serving within 0\.3 s"):
        gateway.start()
    assert gateway.wait(0) == 128 + signal.SIGTERM


def test_a_gateway_is_refused_an_address_where_another_serves(gateway: GatewayProcess, tmp_path: Path) -> None:
    gateway.start()
    second = _gateway(tmp_path, _STAND_IN, address=gateway.address)
    with pytest.raises(InvalidSettingError, match=f"port {gateway.address.rpartition(':')[2]} is in use"):
        second.start()
    assert second.pid is None


def test_the_answer_of_another_is_not_taken_for_that_of_a_gateway_which_ended(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, "tests.pellucid_triton.no_such_module")
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(_Usurper(gateway), server)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_take_address, server, gateway)
        with pytest.raises(StartError, match="the gateway ended with status 1"):
            gateway.start()
    server.stop(None).wait()


@needs_ipv6
def test_a_gateway_listens_at_an_ipv6_address(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, _STAND_IN, address="[::1]:0")
    gateway.start()
    try:
        assert gateway.address.startswith("[::1]:")
        assert _health(gateway.address) == health_pb2.HealthCheckResponse.SERVING
    finally:
        gateway.stop()


def test_a_free_port_is_chosen_at_each_start_until_one_succeeds(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, "tests.pellucid_triton.no_such_module")
    assert gateway.address == "127.0.0.1:0"
    tried = set()
    for _ in range(3):
        with pytest.raises(StartError):
            gateway.start()
        tried.add(gateway.address)
    assert len(tried) > 1
    assert "127.0.0.1:0" not in tried
