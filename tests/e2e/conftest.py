"""The whole stack, as `pellucid up` starts it, over the models that `make models` wrote."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_client import Client
from pellucid_client.demo.stack import Stack
from pellucid_gateway import latents

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0


@pytest.fixture(scope="session")
def repository() -> Path:
    found = ROOT / "model_repository"
    assert (found / "digiface" / "config.pbtxt").exists(), "run `make models` first"
    return found


@pytest.fixture(scope="session")
def stack(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    log = tmp_path_factory.mktemp("stack") / "log"
    with Stack.of_repository(repository, log, START_TIMEOUT_S, edge="127.0.0.1:0") as running:
        yield running


@pytest.fixture
def own_stack(repository: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack that a test may break."""
    with Stack.of_repository(repository, tmp_path / "log", START_TIMEOUT_S) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.facts["gateway"]) as connected:
        yield connected


@pytest.fixture(scope="session")
def generate(repository: Path) -> Callable[..., np.ndarray]:
    """ONNX Runtime in this process: what the same latents give without any server."""
    session = onnxruntime.InferenceSession(str(repository / "digiface" / "1" / "model.onnx"))

    def images(*seeds: int) -> np.ndarray:
        rows = [latents.draw(seed, latents.LATENT_STREAM, 100)[None] for seed in seeds]
        return np.concatenate([session.run(["image"], {"latent": row})[0] for row in rows])

    return images


class GatewayProcess:
    """A further gateway before a Triton that is already there."""

    def __init__(self, stack: Stack, repository: Path, log: Path, **settings: str):
        environment = os.environ | {
            "PELLUCID_ADDRESS": f"127.0.0.1:{free_port()}",
            "PELLUCID_ADMIN_ADDRESS": "127.0.0.1:0",
            "PELLUCID_TRITON_ADDRESS": stack.facts["triton_grpc"],
            "PELLUCID_MODEL_REPOSITORY": str(repository),
            **settings,
        }
        self.address = environment["PELLUCID_ADDRESS"]
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen([sys.executable, "-m", "pellucid_gateway"], env=environment, stderr=stderr)
        self._wait()

    def _wait(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            answer = check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def gateway(stack: Stack, repository: Path, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway of the test's own, before the shared Triton."""
    started = GatewayProcess(stack, repository, tmp_path / "gateway.log")
    yield started
    if started.process.poll() is None:
        started.stop()
