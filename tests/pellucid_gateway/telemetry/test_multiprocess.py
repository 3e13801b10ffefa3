"""Several gateway processes on one port: any of them tells the metrics of all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

WORKER = """
import sys
from prometheus_client import generate_latest
from pellucid.v1 import generation_service_pb2, model_pb2
from pellucid_gateway.telemetry import metrics

number = int(sys.argv[1])
metrics.build("1.2")
metrics.catalog([model_pb2.Model(name="models/paint", state=model_pb2.STATE_AVAILABLE)])
for _ in range(number):
    metrics.call_handled("/pellucid.v1.GenerationService/Generate", "OK", "key", 0.01)
metrics.in_flight("calls", number)
metrics.replicas(4 - number, 3)
metrics.batch("models/paint", number, [1000], 1000)
print("counted", flush=True)
for line in sys.stdin:
    print(generate_latest(metrics.registry()).decode() + "# end", flush=True)
"""
HANDLED = (("caller", "key"), ("code", "OK"), ("method", "GenerationService/Generate"))

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Worker:
    def __init__(self, number: int, directory: Path):
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
        command = [sys.executable, "-c", WORKER, str(number)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._line() == "counted\n"

    def scraped(self) -> Samples:
        assert self.process.stdin is not None
        self.process.stdin.write("scrape\n")
        told = "".join(iter(self._line, "# end\n"))
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }

    def end(self) -> None:
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the worker ended"
        return line


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Worker, Worker]]:
    pair = Worker(1, tmp_path), Worker(2, tmp_path)
    yield pair
    for worker in pair:
        worker.end()


def test_each_process_tells_the_sum_of_all_and_the_worst_view_of_the_replicas(workers: tuple[Worker, Worker]) -> None:
    told = workers[0].scraped()
    assert told["pellucid_calls_handled_total", HANDLED] == 3
    assert told["pellucid_in_flight_calls", ()] == 3
    assert told["pellucid_models", (("state", "available"),)] == 1
    assert told["pellucid_triton_replicas_healthy", ()] == 2
    assert told["pellucid_triton_replicas", ()] == 3
    assert told["pellucid_batch_rows_sum", (("model", "paint"),)] == 3
    assert told["pellucid_build_info", (("version", "1.2"),)] == 1
    assert workers[1].scraped() == told


def test_what_a_dead_process_counted_stays_and_what_it_held_goes(
    workers: tuple[Worker, Worker], tmp_path: Path
) -> None:
    workers[1].end()
    mark_process_dead(workers[1].process.pid, str(tmp_path))  # type: ignore[no-untyped-call]
    told = workers[0].scraped()
    assert told["pellucid_calls_handled_total", HANDLED] == 3
    assert told["pellucid_in_flight_calls", ()] == 1
    assert told["pellucid_triton_replicas_healthy", ()] == 3
