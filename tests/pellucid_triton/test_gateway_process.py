import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_triton.errors import StartError
from pellucid_triton.gateway_process import GatewayProcess
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor

_STAND_IN = "tests.pellucid_triton.stand_in_gateway"


def _gateway(tmp_path: Path, module: str, timeout_s: float = 30) -> GatewayProcess:
    log = tmp_path / "gateway.log"
    return GatewayProcess("127.0.0.1:0", "127.0.0.1:8001", tmp_path, log, module, timeout_s)


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
