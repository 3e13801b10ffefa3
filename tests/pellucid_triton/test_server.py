import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as tritonclient

from pellucid_triton.control import ModelStatus
from pellucid_triton.errors import InvalidSettingError, StartError
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings, default_cache_dir
from pellucid_triton.shared_memory import segments
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor
from tests.pellucid_triton import networks
from tests.pellucid_triton.inference import infer, rows, tensors
from tests.pellucid_triton.ipv6 import needs_ipv6

pytestmark = pytest.mark.stack

_LAUNCHER = """
import sys, time
from pathlib import Path
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
server = TritonServer(Settings(Path(sys.argv[1])))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def _total(server: TritonServer) -> float:
    with tritonclient.InferenceServerClient(server.addresses.grpc) as client:
        return float(infer(client, "affine", {"value": rows(2)})["total"][0, 0])


def _until(condition: Callable[[], bool], limit_s: float = 60) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _metric(server: TritonServer, name: str) -> float:
    """Return a metric of the model `affine`."""
    with urllib.request.urlopen(f"http://{server.addresses.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f'{name}{{model="affine"'))


def _segments_of(pid: int) -> list[Path]:
    return [path for path in segments("pellucid-triton-") if path.name.split("-")[3] == str(pid)]


def test_a_broken_model_is_reported_with_its_reason_while_others_serve(server: TritonServer) -> None:
    states = {(model.name, model.version): model for model in server.models()}
    assert states["broken", "1"].state == "UNAVAILABLE"
    assert "Protobuf parsing failed" in states["broken", "1"].reason
    assert states["affine", "1"].state == "READY"
    assert states["affine", "1"].reason == ""
    assert _total(server) == 8


def test_the_self_check_leaves_no_model_behind(server: TritonServer) -> None:
    assert not [model for model in server.models() if "selfcheck" in model.name]


def test_a_model_added_later_is_loaded_through_the_repository_api(
    server: TritonServer, client: tritonclient.InferenceServerClient, repository: Path
) -> None:
    networks.write(repository, "late", networks.affine())
    client.load_model("late")
    assert infer(client, "late", {"value": rows(3)})["total"].tolist() == [[12]]
    client.unload_model("late")


def test_stop_leaves_no_process_and_no_shared_memory(small_repository: Path) -> None:
    server = TritonServer(Settings(small_repository))
    server.start()
    assert server.pid is not None
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    with (Path("/proc") / str(server.pid) / "maps").open() as maps:
        mapped = {line.split()[-1] for line in maps if "/dev/shm/pellucid-triton-" in line}
    assert len(family) > 1
    assert mapped
    assert server.stop() == 0
    assert [process for process in family if process.is_running()] == []
    assert [name for name in mapped if Path(name).exists()] == []


def test_a_killed_server_is_restarted_at_the_same_addresses(small_repository: Path) -> None:
    states: list[State] = []
    server = TritonServer(Settings(small_repository))
    supervisor = Supervisor(server, BackOff(first_s=0.1), states.append)
    supervisor.start()
    try:
        addresses, first = server.addresses, server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert _until(lambda: supervisor.state.restarts == 1)
        assert supervisor.state.failure == "ended with status 137"
        assert server.pid != first
        assert server.addresses == addresses
        assert _total(server) == 8
    finally:
        supervisor.stop()
    phases = [Phase.STARTING, Phase.RUNNING, Phase.BACKING_OFF, Phase.STARTING, Phase.RUNNING, Phase.STOPPED]
    assert [state.phase for state in states] == phases
    assert server.wait(0) is not None


def test_a_killed_launcher_leaves_nothing_behind(small_repository: Path) -> None:
    command = [sys.executable, "-c", _LAUNCHER, str(small_repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        triton = psutil.Process(int(launcher.stdout.readline()))
        family = [triton, *triton.children(recursive=True)]
        assert _segments_of(launcher.pid)
        launcher.kill()
    assert _until(lambda: not any(process.is_running() for process in family))
    assert _until(lambda: not _segments_of(launcher.pid))


def test_a_killed_guardian_takes_the_server_with_it(small_repository: Path) -> None:
    segments_before = _segments_of(os.getpid())
    server = TritonServer(Settings(small_repository))
    server.start()
    assert server.pid is not None
    triton = psutil.Process(server.pid)
    family = [triton, *triton.children(recursive=True)]
    guardian = triton.parent()
    assert guardian is not None
    guardian.kill()
    assert server.wait(10) == -signal.SIGKILL
    assert _until(lambda: not any(process.is_running() for process in family))
    assert _segments_of(os.getpid()) == segments_before


def test_requests_cancelled_in_the_queue_are_not_executed_and_later_ones_are_unharmed(tmp_path: Path) -> None:
    networks.write(
        tmp_path, "affine", networks.affine(), extra="dynamic_batching { max_queue_delay_microseconds: 1000000 }"
    )
    # A server of its own: this version of Triton may crash on cancellation.
    server = TritonServer(Settings(tmp_path))
    server.start()
    try:
        with tritonclient.InferenceServerClient(server.addresses.grpc) as client:
            inputs = tensors({"value": rows(1)})
            calls = [client.async_infer("affine", inputs, lambda result, error: None) for _ in range(8)]
            assert _until(lambda: _metric(server, "nv_inference_pending_request_count") == 8)
            for call in calls:
                call.cancel()
            assert _until(lambda: _metric(server, "nv_inference_pending_request_count") == 0)
            assert _total(server) == 8
            statistics = client.get_inference_statistics("affine").model_stats[0]
            assert (statistics.inference_count, statistics.execution_count) == (1, 1)
    finally:
        server.stop()


def test_paths_that_a_shell_would_split_are_served(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = tmp_path / "two words"
    (spaced / "temporary").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(spaced / "temporary"))
    (spaced / "cache").symlink_to(default_cache_dir())
    repository = small_repository.rename(spaced / "model repository")
    networks.write(repository, "copy of affine", networks.affine())
    settings = Settings(repository, cache_dir=spaced / "cache", log_file=spaced / "triton.log", start_timeout_s=30)
    server = TritonServer(settings)
    server.start()
    try:
        assert _total(server) == 8
        assert {model.name: model.state for model in server.models()} == {
            "affine": "READY",
            "copy of affine": "UNAVAILABLE",
        }
    finally:
        server.stop()


@needs_ipv6
def test_an_ipv6_address_is_listened_at(small_repository: Path) -> None:
    server = TritonServer(Settings(small_repository, host="::1"))
    server.start()
    try:
        assert server.addresses.grpc.startswith("[::1]:")
        assert _total(server) == 8
        assert _metric(server, "nv_inference_count") == 1
    finally:
        server.stop()


@pytest.mark.parametrize("port", ["grpc_port", "http_port", "metrics_port"])
def test_a_port_in_use_is_named_before_anything_is_started(small_repository: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        server = TritonServer(Settings(small_repository, **{port: taken}))
        with pytest.raises(InvalidSettingError, match=f"port {taken} is in use on 127.0.0.1"):
            server.start()
    assert server.pid is None


class _Unlisted(TritonServer):
    """A server that does not say what it serves, until it is told to."""

    is_listed = False

    def models(self) -> list[ModelStatus]:
        if self.is_listed:
            return super().models()
        raise StartError("no list")


def test_a_start_that_fails_leaves_nothing_running_and_the_ports_open(small_repository: Path) -> None:
    server = _Unlisted(Settings(small_repository))
    assert server.addresses.grpc == "127.0.0.1:0"
    with pytest.raises(StartError, match="no list"):
        server.start()
    assert server.pid is not None
    assert not psutil.pid_exists(server.pid)
    failed = server.addresses
    server.is_listed = True
    server.start()
    started = server.addresses
    server.stop()
    assert started != failed
    server.start()
    assert server.addresses == started
    server.stop()
    with pytest.raises(StartError, match="Triton does not list its models"):
        server.models()
