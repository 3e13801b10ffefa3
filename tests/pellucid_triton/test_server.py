import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as tritonclient

from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from pellucid_triton.shared_memory import segments
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor
from tests.pellucid_triton import networks
from tests.pellucid_triton.inference import infer, rows, tensors

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
