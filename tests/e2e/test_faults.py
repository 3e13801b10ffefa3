"""Triton is killed while it works."""

import time

import grpc
import psutil
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2
from pellucid_client.demo.stack import Stack
from tests.pellucid_gateway.rpc.refusals import refusal

pytestmark = pytest.mark.stack


def kill_triton(stack: Stack) -> None:
    [server] = [child for child in psutil.Process(stack.pid).children(recursive=True) if child.name() == "tritonserver"]
    server.kill()


def test_triton_killed_during_a_stream_is_unavailable_and_then_serves_again(own_stack: Stack) -> None:
    with grpc.insecure_channel(own_stack.facts["gateway"]) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        request = pb.StreamGenerateRequest(model="models/digiface", seeds=pb.SeedRange(first=0, count=1_000_000))
        reader = stub.StreamGenerate(request)
        next(reader)
        kill_triton(own_stack)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in reader:
                pass
        told = refusal(caught.value)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNREACHABLE")
        assert told.retry_after_s == 1

        assert images_within(stub, 90) == 1


def images_within(stub: generation_service_pb2_grpc.GenerationServiceStub, seconds: float) -> int:
    """Ask for an image until it comes, as long as the gateway says UNAVAILABLE."""
    request = pb.GenerateRequest(model="models/digiface", sources=[image_pb2.Source(seed=1)])
    end = time.monotonic() + seconds
    while True:
        try:
            return len(stub.Generate(request, timeout=20).images)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                raise
            time.sleep(refusal(error).retry_after_s or 1)
