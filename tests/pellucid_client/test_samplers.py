"""Which seeds go as a range, and which one by one because they are official."""

from typing import Any

import numpy as np
import pytest

from pellucid.v1 import image_pb2
from pellucid_client import InvalidRequest, Latent
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway

OFFICIAL = image_pb2.SAMPLER_OFFICIAL


def official(*seeds: int) -> list[image_pb2.Source]:
    return [image_pb2.Source(seed=seed, sampler=OFFICIAL) for seed in seeds]


async def test_official_seeds_in_a_row_go_one_by_one(client: Any, gateway: ToyGateway) -> None:
    await got(client.generate("toy", first_seed=7, count=3, sampler="official"))
    await got(client.stream_generate("toy", seeds=range(7, 10), sampler="official"))
    await got(client.stream_edit(range(7, 10), model="toy", sampler="official"))
    assert [list(request.sources) for request in gateway.requests] == [official(7, 8, 9)] * 3
    assert not any(request.HasField("seeds") for request in gateway.requests)


async def test_other_seeds_in_a_row_stay_a_range(client: Any, gateway: ToyGateway) -> None:
    for options in ({}, {"sampler": "pellucid"}):
        await got(client.stream_generate("toy", first_seed=7, count=3, **options))
        assert (gateway.requests[-1].seeds.first, gateway.requests[-1].seeds.count) == (7, 3)
        assert not gateway.requests[-1].sources


async def test_a_sampler_is_of_seeds_alone(client: Any, gateway: ToyGateway) -> None:
    [image] = await got(client.generate("toy", seed=7))
    latent = Latent(np.zeros(3, dtype=np.float32))
    await got(client.edit([5, latent, image], model="toy", sampler="official"))
    seed, given, recipe = gateway.requests[-1].sources
    assert [seed, given, recipe] == [
        image_pb2.Source(seed=5, sampler=OFFICIAL),
        image_pb2.Source(latent=latent.message()),
        image_pb2.Source(recipe=image.recipe),
    ]


async def test_official_seeds_are_drawn_where_official_samplers_take_them(client: Any, gateway: ToyGateway) -> None:
    await got(client.generate("toy", count=64, sampler="official"))
    await got(client.generate("toy", sampler="official"))
    several, one = ([source.seed for source in request.sources] for request in gateway.requests)
    assert several == list(range(several[0], several[0] + 64))
    assert max(*several, *one) < 2**32


@pytest.mark.parametrize("count", [0, -1, 65, 10_001])
async def test_more_official_seeds_than_a_call_takes_are_refused_before_it(
    client: Any, gateway: ToyGateway, count: int
) -> None:
    with pytest.raises(InvalidRequest, match=f"seeds: {count} official seeds are not 1 to 64") as caught:
        await got(client.generate("toy", count=count, sampler="official"))
    assert caught.value.violations[0].field == "seeds"
    if count == 65:
        assert len(await got(client.stream_generate("toy", count=count, sampler="official"))) == 65
        return
    with pytest.raises(InvalidRequest, match=f"{count} official seeds are not 1 to 10000"):
        await got(client.stream_generate("toy", count=count, sampler="official"))
    assert gateway.requests == []


async def test_a_range_of_a_million_official_edits_is_refused_before_the_call(client: Any, gateway: ToyGateway) -> None:
    with pytest.raises(InvalidRequest, match="1000000 official seeds are not 1 to 10000"):
        await got(client.stream_edit(range(10**6), model="toy", sampler="official"))
    assert gateway.requests == []


async def test_a_broken_stream_of_official_seeds_goes_on_with_official_ones(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(after_images=2))
    images = await got(client.stream_generate("toy", first_seed=5, count=4, sampler="official"))
    assert [image.seed for image in images] == [5, 6, 7, 8]
    assert list(gateway.requests[1].sources) == official(7, 8)
