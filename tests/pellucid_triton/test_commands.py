import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as tritonclient

from tests.pellucid_triton.inference import infer, rows


def _is_gateway(process: psutil.Process) -> bool:
    return process.cmdline()[1:] == ["-m", "tests.pellucid_triton.stand_in_gateway"]


def _command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pellucid_client", name, *arguments]


@pytest.mark.stack
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_triton_prints_one_json_line_when_ready_and_ends_cleanly(small_repository: Path, end: signal.Signals) -> None:
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    command = _command("triton", "--repository", str(small_repository), *ports, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        ready = json.loads(launcher.stdout.readline())
        family = psutil.Process(launcher.pid).children(recursive=True)
        with tritonclient.InferenceServerClient(ready["triton_grpc"]) as client:
            assert infer(client, "affine", {"value": rows(1)})["doubled"].tolist() == [[3, 3, 3, 3]]
        launcher.send_signal(end)
        assert launcher.stdout.read() == ""
    assert launcher.returncode == 0
    assert ready["models"] == [{"name": "affine", "version": "1", "state": "READY", "reason": ""}]
    assert [process for process in family if process.is_running()] == []


@pytest.mark.stack
def test_up_runs_everything_restarts_a_killed_gateway_and_ends_cleanly(small_repository: Path) -> None:
    stand_in = [
        "--gateway-module",
        "tests.pellucid_triton.stand_in_gateway",
        "--address",
        "127.0.0.1:0",
        "--edge",
        "127.0.0.1:0",
    ]
    command = _command("up", "--repository", str(small_repository), *stand_in, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stderr is not None
        ready = json.loads(launcher.stdout.readline())
        assert Path(ready["gateway_log"]).name == f"triton-{launcher.pid}-gateway.log"
        log = Path(ready["gateway_log"]).read_text()
        assert f"PELLUCID_ADDRESS={ready['gateway']}\nPELLUCID_TRITON_ADDRESS={ready['triton_grpc']}" in log
        (gateway,) = (child for child in psutil.Process(launcher.pid).children(recursive=True) if _is_gateway(child))
        gateway.kill()
        restarted = (line for line in launcher.stderr if line == "INFO gateway is running\n")
        assert next(restarted)
        assert next(restarted)
        family = psutil.Process(launcher.pid).children(recursive=True)
        launcher.terminate()
        stopped = [line.split()[1] for line in launcher.stderr if "is stopped" in line]
    assert launcher.returncode == 0
    assert stopped == ["edge", "gateway", "triton"]
    assert [process for process in family if process.is_running()] == []


@pytest.mark.parametrize("name", ["triton", "up"])
def test_a_missing_repository_is_an_error_in_one_line(name: str, tmp_path: Path) -> None:
    command = _command(
        name,
        *(["--edge", "", "--admin", "127.0.0.1:0"] if name == "up" else []),
        "--repository",
        str(tmp_path / "none"),
    )
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == f"error: repository: {tmp_path / 'none'} is not a directory\n"


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("up", ["--edge", "", "--admin", "127.0.0.1:0", "--address", "50051"], "address: '50051' is not host:port"),
        (
            "up",
            ["--edge", "", "--admin", "127.0.0.1:0", "--address", "192.0.2.1:0"],
            "address: 192.0.2.1:0 cannot be listened on: ",
        ),
        (
            "up",
            ["--edge", "", "--admin", "127.0.0.1:0", "--address", "no-such-host.invalid:0"],
            "address: no-such-host.invalid:0 cannot be listened on: ",
        ),
        pytest.param("triton", ["--host", "192.0.2.1"], "address: 192.0.2.1:", marks=pytest.mark.stack),
    ],
)
def test_an_address_that_cannot_be_is_an_error_in_one_line(
    name: str, arguments: list[str], error: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        _command(name, "--repository", str(tmp_path), *arguments), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"error: {error}")
    assert "Traceback" not in ended.stderr


def test_up_names_a_port_in_use_before_it_starts_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        command = _command(
            "up",
            "--repository",
            str(tmp_path),
            "--address",
            f"127.0.0.1:{port}",
            "--edge",
            "",
            "--admin",
            "127.0.0.1:0",
        )
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, f"error: port {port} is in use on 127.0.0.1\n")


def test_a_cache_that_cannot_be_made_is_an_error_that_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")}
    command = _command("triton", "--repository", str(tmp_path), "--prepare")
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: the cache {tmp_path}/file/pellucid/triton cannot be used")
    assert "XDG_CACHE_HOME" in ended.stderr


@pytest.mark.stack
def test_prepare_makes_the_environment_and_starts_nothing(small_repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = _command("triton", "--repository", str(small_repository), "--prepare")
    subprocess.run(command, check=True, capture_output=True, env=environment)
    made = list((tmp_path / "cache" / "pellucid" / "triton").glob("*/complete"))
    assert len(made) == 1
    assert not (tmp_path / "cache" / "pellucid" / "triton" / "logs").exists()
