from collections.abc import AsyncIterator
from typing import Any

import pytest

from pellucid.v1 import generation_service_pb2, image_pb2
from pellucid_client import Internal
from pellucid_client.assembly import whole_images
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway


async def stream(*parts: image_pb2.Image) -> AsyncIterator[generation_service_pb2.StreamGenerateResponse]:
    for part in parts:
        yield generation_service_pb2.StreamGenerateResponse(images=[part])


async def test_parts_become_the_image_they_were(client: Any, gateway: ToyGateway) -> None:
    gateway.part_bytes = 7
    images = await got(client.stream_generate("toy", first_seed=1, count=3, format="raw"))
    assert [image.data for image in images] == [bytes((seed, 100, 100)) * 16 for seed in (1, 2, 3)]
    assert [image.seed for image in images] == [1, 2, 3]


async def test_a_break_within_an_image_asks_for_all_of_it_again(client: Any, gateway: ToyGateway) -> None:
    gateway.part_bytes = 7
    gateway.faults.append(Fault(after_images=1, within_image=True))
    images = await got(client.stream_generate("toy", first_seed=1, count=3, format="raw"))
    assert [image.data for image in images] == [bytes((seed, 100, 100)) * 16 for seed in (1, 2, 3)]
    assert [request.seeds.first for request in gateway.requests] == [1, 2]


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([(0, b"ab", 4), (1, b"cd", 0)], "image 1 began before image 0 was whole"),
        ([(0, b"ab", 4), (0, b"cde", 0)], "image 0 has 5 bytes, not 4"),
        ([(0, b"ab", 4), (0, b"c", 0)], "ended 1 bytes before the end of image 0"),
    ],
)
async def test_parts_that_do_not_fit_are_the_gateway_s_fault(parts: list[tuple[int, bytes, int]], fault: str) -> None:
    messages = [image_pb2.Image(index=index, data=data, data_size=size) for index, data, size in parts]
    with pytest.raises(Internal, match=fault):
        _ = [image async for image in whole_images(stream(*messages))]
