import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from pellucid_edge.configuration import documents
from pellucid_edge.edge import Edge

COMMAND = [sys.executable, "-c", "import typer; from pellucid_edge.commands import edge; typer.run(edge)"]
DEPLOYED = ["--address", "0.0.0.0:8080", "--gateway", "gateway:50051", "--admin-address", "127.0.0.1:9901"]
FREE = ["--address", "127.0.0.1:0"]


def _end(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.stack
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_edge_prints_one_json_line_when_ready_and_ends_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    command = [*COMMAND, *FREE, "--log-file", str(tmp_path / "edge.log"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        ready = json.loads(launcher.stdout.readline())
        family = psutil.Process(launcher.pid).children(recursive=True)
        assert httpx.get(f"http://{ready['edge']}/openapi.json", trust_env=False).status_code == 200
        launcher.send_signal(end)
        assert launcher.stdout.read() == ""
    assert launcher.returncode == 0
    assert ready["edge_log"] == str(tmp_path / "edge.log")
    assert [process for process in family if process.is_running()] == []


def test_the_configuration_is_printed_and_nothing_started() -> None:
    done = _end("--print-config", "--origin", "https://app.example", "--gateway", "one:1", "--gateway", "two:2")
    printed = yaml.safe_load(done.stdout)
    [cluster] = printed["static_resources"]["clusters"]
    assert (done.returncode, len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"])) == (0, 2)
    assert "https://app.example" in done.stdout


def test_the_configuration_is_written_with_its_files(tmp_path: Path) -> None:
    assert _end(*DEPLOYED, "--write-config", str(tmp_path / "envoy")).returncode == 0
    written = {file.name: file.read_bytes() for file in (tmp_path / "envoy").iterdir()}
    assert written == documents(Edge())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--jwt-issuer", "https://issuer.example"], "jwt: issuer, audience and keys are all needed"),
        (["--certificate", "chain.pem"], "tls: a certificate and its private key are both needed"),
        (["--origin", "app.example"], "origins: 'app.example' is neither * nor scheme://host[:port]"),
        (["--admin-address", "0.0.0.0:0"], "admin_address: 0.0.0.0:0 is not on loopback"),
    ],
)
def test_what_cannot_be_is_an_error_in_one_line(arguments: list[str], error: str) -> None:
    done = _end(*arguments)
    assert (done.returncode, done.stderr.startswith(f"error: {error}")) == (1, True)
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = _end("--address", f"127.0.0.1:{port}")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"error: port {port} is in use on 127.0.0.1")
