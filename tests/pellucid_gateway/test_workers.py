"""Real processes on one port."""

import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.pellucid_gateway.worker import COMMAND

TIMEOUT_S = 30.0


class Supervised:
    """A supervisor with two workers, and its port."""

    def __init__(self, folder: Path):
        self.log = folder / "log"
        self.metrics = folder / "metrics"
        self.metrics.mkdir()
        (self.metrics / "counter_1.db").touch()  # left by a former run
        environment = os.environ | {"PELLUCID_ADDRESS": "127.0.0.1:0", "PROMETHEUS_MULTIPROC_DIR": str(self.metrics)}
        with self.log.open("wb") as log:
            self.process = psutil.Popen(COMMAND, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.port = 0
        while not self.port:
            found = re.search(
                r"supervising.*address=127\.0\.0\.1:(\d+)", re.sub(r"\x1b\[\d*m", "", self.log.read_text())
            )
            self.port = int(found[1]) if found else 0
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def workers(self) -> list[psutil.Process]:
        return list(self.process.children())

    def ask(self, takes_s: float = 0) -> "grpc.Future[object]":
        """Ask over a connection of its own."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", [("grpc.use_local_subchannel_pool", 1)])
        request = health_pb2.HealthCheckRequest(service=str(takes_s))
        call = health_pb2_grpc.HealthStub(channel).Check.future(request, timeout=TIMEOUT_S, wait_for_ready=True)
        call.add_done_callback(lambda _: channel.close())
        return call

    def pid(self) -> int:
        return int(dict(self.ask().trailing_metadata())["pid"])

    def until_answered_by(self, *pids: int) -> Counter[int]:
        answered: Counter[int] = Counter()
        end = time.monotonic() + TIMEOUT_S
        while not answered.keys() >= set(pids):
            answered[self.pid()] += 1
            assert time.monotonic() < end, answered
        return answered

    def merged(self) -> str:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.metrics))  # type: ignore[no-untyped-call]
        return generate_latest(registry).decode()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    started = Supervised(tmp_path)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            left = started.workers()
            started.process.kill()
            psutil.wait_procs([*left, started.process], TIMEOUT_S)


def test_workers_share_a_port_and_their_metrics_are_merged(supervised: Supervised) -> None:
    pids = [worker.pid for worker in supervised.workers()]
    assert len(pids) == 2
    answered = supervised.until_answered_by(*pids)
    assert answered.keys() == set(pids)
    assert f"calls_total {float(answered.total())}" in supervised.merged()
    assert "alive 2.0" in supervised.merged()


def test_a_worker_that_is_killed_comes_back_while_the_other_serves(supervised: Supervised) -> None:
    first, second = supervised.workers()
    before = supervised.until_answered_by(first.pid, second.pid)
    first.kill()
    first.wait(TIMEOUT_S)
    during = supervised.until_answered_by(second.pid)
    new = next_worker(supervised, {first.pid, second.pid})
    after = supervised.until_answered_by(new.pid, second.pid)
    assert first.pid not in during.keys() | after.keys()
    total = before.total() + during.total() + after.total()
    assert f"calls_total {float(total)}" in supervised.merged()
    assert "alive 2.0" in supervised.merged()
    assert "worker ended" in supervised.log.read_text()


def test_sigterm_drains_all_workers_and_leaves_nothing_behind(supervised: Supervised) -> None:
    workers = supervised.workers()
    supervised.until_answered_by(*(worker.pid for worker in workers))
    calls = [supervised.ask(takes_s=1) for _ in range(6)]
    while sum(len(worker.net_connections("tcp")) for worker in workers) < len(workers) + len(calls):
        time.sleep(0.02)
    supervised.process.send_signal(signal.SIGTERM)
    assert {call.code() for call in calls} == {grpc.StatusCode.OK}
    assert supervised.process.wait(TIMEOUT_S) == 0
    assert not any(worker.is_running() for worker in workers)
    assert list(supervised.metrics.iterdir()) == []


def test_a_connection_that_grows_old_moves_on_and_loses_no_call(supervised: Supervised) -> None:
    wanted = {worker.pid for worker in supervised.workers()}
    supervised.until_answered_by(*wanted)
    seen: set[int] = set()
    end = time.monotonic() + TIMEOUT_S
    with grpc.insecure_channel(f"127.0.0.1:{supervised.port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        while seen != wanted:
            _, call = check.with_call(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
            seen.add(int(dict(call.trailing_metadata())["pid"]))
            assert time.monotonic() < end


def test_workers_end_when_their_supervisor_is_killed(supervised: Supervised) -> None:
    workers = supervised.workers()
    supervised.until_answered_by(*(worker.pid for worker in workers))
    supervised.process.kill()
    gone, alive = psutil.wait_procs(workers, TIMEOUT_S)
    assert (len(gone), alive) == (2, [])


def test_a_port_that_somebody_listens_on_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = subprocess.run(COMMAND, env=os.environ | {"PELLUCID_ADDRESS": address}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


def next_worker(supervised: Supervised, known: set[int]) -> psutil.Process:
    end = time.monotonic() + TIMEOUT_S
    while True:
        new = [worker for worker in supervised.workers() if worker.pid not in known]
        if new:
            return new[0]
        assert time.monotonic() < end
        time.sleep(0.05)
