"""A long stream of translations through Triton, to a client that is slower than the server."""

from pathlib import Path

import grpc
import pytest
from benchmarks import translate_stream
from benchmarks.translate_stream import SIDE

from pellucid.v1 import translation_service_pb2_grpc
from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S

pytestmark = [pytest.mark.torch, pytest.mark.stack, pytest.mark.timeout(600)]
IMAGES = 200
# Slower than the server, which makes several in this time.
PAUSE_S = 0.2


def test_memory_stays_flat_and_no_more_is_taken_than_has_room(tmp_path: Path) -> None:
    translate_stream.export(tmp_path / "repository", tmp_path)
    with (
        Stack.of_repository(tmp_path / "repository", tmp_path / "log", START_TIMEOUT_S) as stack,
        grpc.insecure_channel(stack.facts["gateway"]) as channel,
    ):
        stub = translation_service_pb2_grpc.TranslationServiceStub(channel)
        gateway = translate_stream.gateway_of(stack)
        translate_stream.stream(stub, gateway, 40, PAUSE_S)
        watch = translate_stream.stream(stub, gateway, IMAGES, PAUSE_S)
    assert (watch.taken, watch.answered) == (IMAGES, IMAGES)
    through_mib = IMAGES * SIDE * SIDE * 3 / translate_stream.MIB
    assert watch.growth_mib() < through_mib / 4
    # 4 batches of 4 are under way in the gateway; the rest is in the buffers of two connections' ends.
    assert watch.most_ahead < IMAGES / 2
