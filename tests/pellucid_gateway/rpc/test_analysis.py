import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway import images
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.refusals import refusal


def flat(red: int, green: int, blue: int, size: int = 8) -> pb.ImageInput:
    pixels = np.full((size, size, 3), (red, green, blue), dtype=np.uint8)
    return pb.ImageInput(data=images.encode(pixels, image_pb2.IMAGE_FORMAT_PNG))


def values(analysis: pb.Analysis) -> list[float]:
    return [measurement.value for measurement in analysis.measurements]


async def test_each_image_gets_the_labels_of_the_card(gateway: Gateway) -> None:
    request = pb.AnalyzeRequest(model="models/meter", images=[flat(10, 20, 30), flat(40, 50, 60, size=64)])
    answer = await gateway.analysis.Analyze(request)
    assert [values(analysis) for analysis in answer.analyses] == [[10, 20, 30], [40, 50, 60]]
    first = answer.analyses[0].measurements[0]
    assert (first.label, first.unit) == ("red", "level")


async def test_a_bad_image_fails_a_unary_call_by_field(gateway: Gateway) -> None:
    request = pb.AnalyzeRequest(model="models/meter", images=[flat(1, 2, 3), pb.ImageInput(data=b"nonsense")])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.analysis.Analyze(request)
    assert refusal(caught.value).violations == {"images[1].data": "8 bytes are no readable JPEG, PNG or WebP"}


async def test_a_generator_labels_nothing(gateway: Gateway) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.analysis.Analyze(pb.AnalyzeRequest(model="models/paint", images=[flat(1, 2, 3)]))
    assert refusal(caught.value).reason == "WRONG_TASK"


async def test_in_a_stream_a_bad_image_gets_its_own_status_and_the_rest_go_on(gateway: Gateway) -> None:
    async def requests() -> AsyncIterator[pb.StreamAnalyzeRequest]:
        yield pb.StreamAnalyzeRequest(model="models/meter", images=[flat(1, 2, 3)] * 20)
        await asyncio.sleep(0.01)
        yield pb.StreamAnalyzeRequest(images=[pb.ImageInput(data=b"nonsense"), flat(4, 5, 6)])

    call = gateway.analysis.StreamAnalyze(requests())
    results = [result async for message in call for result in message.results]
    assert [result.index for result in results] == list(range(22))
    assert results[20].error.code == code_pb2.INVALID_ARGUMENT
    assert values(results[21].analysis) == [4, 5, 6]
    assert values(results[19].analysis) == [1, 2, 3]


@pytest.mark.parametrize("second", ["models/other", None])
async def test_a_stream_keeps_to_one_model(gateway: Gateway, second: str | None) -> None:
    async def requests() -> AsyncIterator[pb.StreamAnalyzeRequest]:
        yield pb.StreamAnalyzeRequest(model="models/meter" if second else "", images=[flat(1, 2, 3)])
        if second:
            yield pb.StreamAnalyzeRequest(model=second, images=[flat(1, 2, 3)])

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [message async for message in gateway.analysis.StreamAnalyze(requests())]
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
