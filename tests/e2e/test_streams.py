"""Long streams, readers that go away, deadlines."""

import time
import urllib.request
from collections.abc import Callable

import grpc
import numpy as np
import psutil
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2
from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import GatewayProcess

pytestmark = pytest.mark.stack
RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
MEMORY_BOUND = 48 * 2**20


def stream(count: int, first: int = 0) -> pb.StreamGenerateRequest:
    return pb.StreamGenerateRequest(model="models/digiface", seeds=pb.SeedRange(first=first, count=count), output=RAW)


def batches_run(stack: Stack) -> int:
    with urllib.request.urlopen(f"http://{stack.facts['triton_metrics']}/metrics", timeout=10) as answered:
        lines = answered.read().decode().splitlines()
    [line] = [one for one in lines if one.startswith("nv_inference_exec_count") and 'model="digiface"' in one]
    return int(float(line.split()[-1]))


def test_ten_thousand_images_in_one_call_leave_the_gateway_s_memory_flat(
    gateway: GatewayProcess, generate: Callable[..., np.ndarray]
) -> None:
    process = psutil.Process(gateway.process.pid)
    with grpc.insecure_channel(gateway.address) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        for _ in stub.StreamGenerate(stream(500)):
            pass
        before, most, seen = process.memory_info().rss, 0, 0
        for message in stub.StreamGenerate(stream(10_000)):
            for image in message.images:
                assert image.index == seen
                if seen in (0, 9_999):
                    pixels = np.frombuffer(image.data, np.uint8).reshape(1, 64, 64, 3)
                    np.testing.assert_array_equal(pixels, generate(seen))
                seen += 1
            most = max(most, process.memory_info().rss)
    assert seen == 10_000
    assert most - before < MEMORY_BOUND


def test_when_a_client_disappears_no_batch_of_its_starts_after_a_second(stack: Stack) -> None:
    channel = grpc.insecure_channel(stack.facts["gateway"])
    reader = generation_service_pb2_grpc.GenerationServiceStub(channel).StreamGenerate(stream(1_000_000))
    next(reader)
    channel.close()
    time.sleep(1)
    after_a_second = batches_run(stack)
    time.sleep(1.5)
    assert batches_run(stack) == after_a_second


def test_a_deadline_that_cannot_be_met_is_told_and_later_requests_are_unharmed(stack: Stack) -> None:
    with grpc.insecure_channel(stack.facts["gateway"]) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in stub.StreamGenerate(stream(100_000), timeout=0.3):
                pass
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        answered = stub.Generate(pb.GenerateRequest(model="models/digiface", output=RAW), timeout=20)
    assert len(answered.images[0].data) == 64 * 64 * 3


def test_sigterm_lets_a_stream_under_way_end(gateway: GatewayProcess) -> None:
    with grpc.insecure_channel(gateway.address) as channel:
        reader = generation_service_pb2_grpc.GenerationServiceStub(channel).StreamGenerate(stream(1_000))
        seen = len(next(reader).images)
        gateway.process.terminate()
        seen += sum(len(message.images) for message in reader)
    assert seen == 1_000
    assert gateway.process.wait(30) == 0
    assert "Traceback" not in gateway.log.read_text()
