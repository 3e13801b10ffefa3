import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway import latents
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import RAW, colour, given, painted, seed


async def test_seeds_give_their_own_latents_and_images_in_order(gateway: Gateway) -> None:
    seeds = pb.SeedRange(first=2**64 - 1, count=3)
    made = await gateway.generation.Generate(
        pb.GenerateRequest(model="models/paint", seeds=seeds, output=RAW, request_id="mine")
    )
    wanted = [latents.draw(number, 0, 4) for number in (2**64 - 1, 0, 1)]
    assert [image.index for image in made.images] == [0, 1, 2]
    assert [image.recipe.seed for image in made.images] == [2**64 - 1, 0, 1]
    assert [list(image.latent.values) for image in made.images] == [latent.tolist() for latent in wanted]
    assert [colour(image) for image in made.images] == [painted(latent) for latent in wanted]
    assert made.request_id == "mine"
    assert made.timings.total_ns >= made.timings.inference_ns > 0


async def test_without_a_seed_one_is_chosen_and_told(gateway: Gateway) -> None:
    request = pb.GenerateRequest(model="models/paint", output=RAW)
    first, second = [(await gateway.generation.Generate(request)).images[0] for _ in range(2)]
    assert first.recipe.seed != second.recipe.seed
    assert colour(first) == painted(latents.draw(first.recipe.seed, 0, 4))


async def test_an_explicit_latent_is_painted_as_given(gateway: Gateway) -> None:
    request = pb.GenerateRequest(model="models/paint", sources=[given(1, -1, 0.5, 0)], output=RAW)
    assert colour((await gateway.generation.Generate(request)).images[0]) == [144, 112, 136]


@pytest.mark.parametrize(
    ("image_format", "name"),
    [
        (image_pb2.IMAGE_FORMAT_UNSPECIFIED, "JPEG"),
        (image_pb2.IMAGE_FORMAT_JPEG, "JPEG"),
        (image_pb2.IMAGE_FORMAT_PNG, "PNG"),
        (image_pb2.IMAGE_FORMAT_WEBP, "WEBP"),
    ],
)
async def test_images_come_in_the_format_that_was_asked_for(
    gateway: Gateway, image_format: "image_pb2.ImageFormat.ValueType", name: str
) -> None:
    request = pb.GenerateRequest(
        model="models/paint", sources=[given(1, -1, 0.5, 0)], output=image_pb2.OutputOptions(format=image_format)
    )
    [image] = (await gateway.generation.Generate(request)).images
    opened = Image.open(io.BytesIO(image.data))
    assert (opened.format, opened.size, image.data_size) == (name, (8, 8), len(image.data))
    assert np.abs(np.asarray(opened)[4, 4].astype(int) - [144, 112, 136]).max() <= (3 if name == "JPEG" else 0)


async def test_interpolation_passes_through_its_key_frames(gateway: Gateway) -> None:
    request = pb.InterpolateRequest(
        model="models/paint",
        keyframes=[given(0, 0, 0, 0), given(4, 0, 0, 0), given(4, 2, 0, 0)],
        frames_per_segment=2,
        path=image_pb2.PATH_LINEAR,
        output=RAW,
    )
    frames = [image async for message in gateway.generation.Interpolate(request) for image in message.images]
    assert [colour(frame)[:2] for frame in frames] == [[128, 128], [160, 128], [192, 128], [192, 144], [192, 160]]
    assert frames[1].recipe.interpolation.position == 0.5
    again = pb.GenerateRequest(model="models/paint", sources=[image_pb2.Source(recipe=frames[3].recipe)], output=RAW)
    assert colour((await gateway.generation.Generate(again)).images[0])[:2] == [192, 144]


async def test_a_stream_is_in_order_and_equals_unary_calls(gateway: Gateway) -> None:
    request = pb.StreamGenerateRequest(model="models/paint", seeds=pb.SeedRange(first=10, count=100), output=RAW)
    messages = [message async for message in gateway.generation.StreamGenerate(request)]
    made = [image for message in messages for image in message.images]
    assert [image.index for image in made] == list(range(100))
    assert [colour(image) for image in made] == [painted(latents.draw(10 + k, 0, 4)) for k in range(100)]
    assert len(messages[0].request_id) == 32
    assert messages[-1].timings.total_ns > 0
    assert {len(batch.inputs["latent"]) for batch in gateway.backend.batches} == {16, 4}


async def test_render_image_gives_a_picture_with_its_type(gateway: Gateway) -> None:
    request = pb.RenderImageRequest(
        model="models/paint", seed=7, moves=["red:+2", "bare:-1.5"], locks=["green"], format=image_pb2.IMAGE_FORMAT_PNG
    )
    body = await gateway.generation.RenderImage(request)
    assert body.content_type == "image/png"
    wanted = painted(latents.draw(7, 0, 4) + np.float32([2, 0, -1.5, 0]))
    assert np.asarray(Image.open(io.BytesIO(body.data)))[0, 0].tolist() == wanted


async def test_requests_of_different_callers_share_batches(gateway: Gateway) -> None:
    gateway.backend.delay_s = 0.5
    requests = [pb.GenerateRequest(model="models/paint", sources=[seed(k)], output=RAW) for k in range(20)]
    answers = await asyncio.gather(*(gateway.generation.Generate(request) for request in requests))
    assert [colour(one.images[0]) for one in answers] == [painted(latents.draw(k, 0, 4)) for k in range(20)]
    assert len(gateway.backend.batches) < 10
