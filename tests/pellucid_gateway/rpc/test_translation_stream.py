"""StreamTranslate, on the models of workshop."""

import asyncio
import gc
import io
import struct
import zlib
from collections.abc import AsyncIterator, Iterable

import grpc
import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import analysis_service_pb2, image_pb2
from pellucid.v1 import translation_service_pb2 as pb
from tests.pellucid_gateway import workshop
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import RAW as WITH_LATENT
from tests.pellucid_gateway.rpc.asking import refused

RAW = image_pb2.OutputOptions(format=WITH_LATENT.format)


@pytest.fixture
async def shop(gateway: Gateway) -> Gateway:
    workshop.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


def png(*colour: int, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def item(data: bytes, *targets: pb.Target, **fields: object) -> pb.StreamTranslateRequest:
    source = pb.TranslationSource(image=analysis_service_pb2.ImageInput(data=data, **fields))
    return pb.StreamTranslateRequest(item=pb.TranslationItem(source=source, targets=targets))


def start(model: str = "seasons", **fields: object) -> pb.StreamTranslateRequest:
    return pb.StreamTranslateRequest(start=pb.StreamTranslateStart(model=f"models/{model}", output=RAW, **fields))


async def sent(requests: Iterable[pb.StreamTranslateRequest]) -> AsyncIterator[pb.StreamTranslateRequest]:
    for request in requests:
        yield request


async def answers(gateway: Gateway, *requests: pb.StreamTranslateRequest) -> list[pb.StreamTranslateResponse]:
    return [response async for response in gateway.translation.StreamTranslate(sent(requests))]


def header(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds next to nothing."""
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + data
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(20)


async def test_items_are_answered_in_their_order(shop: Gateway) -> None:
    responses = await answers(shop, start(request_id="mine"), *(item(png(k, k, k)) for k in range(40)))
    assert [response.index for response in responses] == list(range(40))
    assert [response.images.images[0].data[0] for response in responses] == [255 - k for k in range(40)]
    assert [response.request_id for response in responses] == ["mine", *[""] * 39]
    assert all(response.last for response in responses)


async def test_items_have_the_streams_targets_or_their_own(shop: Gateway) -> None:
    back = pb.Target(direction="winter2summer")
    there, own = await answers(shop, start(targets=[back, back]), item(png(9, 9, 9)), item(png(9, 9, 9), pb.Target()))
    assert [[image.data[0] for image in one.images.images] for one in (there, own)] == [[4, 4], [246]]


async def test_unordered_items_are_answered_as_they_are_done(shop: Gateway) -> None:
    shop.backend.held["seasons.b_to_a"] = asyncio.Event()
    back = pb.Target(direction="winter2summer")
    call = shop.translation.StreamTranslate(
        sent([start(unordered=True), item(png(1, 1, 1), back), *(item(png(k, k, k)) for k in range(5))])
    )
    first = [(await call.read()).index for _ in range(5)]
    shop.backend.held["seasons.b_to_a"].set()
    assert sorted(first) == [1, 2, 3, 4, 5]
    assert (await call.read()).index == 0
    assert await call.read() == grpc.aio.EOF


HOSTILE = {
    "a bomb": header(60_000, 60_000),
    "long and thin": header(65_535, 1),
    "truncated": png(1, 1, 1, size=(64, 64))[:60],
    "wrong magic": b"GIF89a" + bytes(100),
    "text": b"<?php system('rm -rf /'); ?>",
    "empty": b"",
    "a polyglot": b"%PDF-1.4\n" + png(1, 1, 1),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_image_has_its_own_status_and_the_stream_goes_on(shop: Gateway, name: str) -> None:
    before, bad, after = await answers(shop, start(), item(png(1, 1, 1)), item(HOSTILE[name]), item(png(2, 2, 2)))
    assert bad.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert (bad.index, bad.last) == (1, True)
    assert [one.images.images[0].data[0] for one in (before, after)] == [254, 253]


async def test_an_animation_is_refused(shop: Gateway) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    [bad] = await answers(shop, start(), item(buffer.getvalue()))
    assert "an animation of 2 images" in bad.error.message


@pytest.mark.parametrize(("mode", "colour", "wanted"), [("L", 40, 215), ("CMYK", (0, 0, 0, 0), 0), ("LA", (40, 0), 0)])
async def test_grey_cmyk_and_transparent_images_are_taken(
    shop: Gateway, mode: str, colour: object, wanted: int
) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), colour).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    [made] = await answers(shop, start(), item(buffer.getvalue()))
    assert abs(made.images.images[0].data[0] - wanted) <= 2


async def test_an_image_with_16_bits_a_channel_is_refused_by_name(shop: Gateway) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(buffer, "PNG")
    [bad] = await answers(shop, start(), item(buffer.getvalue()))
    assert "more than 8 bits" in bad.error.message


async def test_exif_turns_an_image_upright(shop: Gateway) -> None:
    tall = Image.new("RGB", (4, 8), "black")
    exif = tall.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    tall.save(buffer, "PNG", exif=exif)
    [made] = await answers(shop, start(), item(buffer.getvalue()))
    assert (made.images.images[0].height, made.images.images[0].width) == (4, 8)


async def test_an_image_may_come_in_parts(shop: Gateway) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8).tobytes()
    fields = {"raw_height": 48, "raw_width": 64, "data_size": len(whole)}
    parts = [pb.StreamTranslateRequest(more=whole[at : at + 3000]) for at in range(2000, len(whole), 3000)]
    made, after = await answers(shop, start(), item(whole[:2000], **fields), *parts, item(png(1, 1, 1)))
    assert bytes(255 - byte for byte in whole) == made.images.images[0].data
    assert after.index == 1


async def test_the_parts_of_a_refused_image_are_passed_over(shop: Gateway) -> None:
    large = {"raw_height": 9000, "raw_width": 9000, "data_size": 5000}
    bad, after = await answers(
        shop, start(), item(bytes(2000), **large), pb.StreamTranslateRequest(more=bytes(3000)), item(png(1, 1, 1))
    )
    assert bad.HasField("error")
    assert after.images.images[0].data[0] == 254


async def test_more_than_a_message_holds_comes_in_parts(shop: Gateway) -> None:
    shop.catalog.serving("models/seasons").card.translation.sizes.max_px = 10**7
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    data = pixels.tobytes()
    fields = {"raw_height": 1000, "raw_width": 1200, "data_size": len(data)}
    parts = [pb.StreamTranslateRequest(more=data[at : at + 2**21]) for at in range(2**21, len(data), 2**21)]
    responses = await answers(shop, start(), item(data[: 2**21], **fields), *parts)
    assert all(response.ByteSize() < 2**21 for response in responses)
    assert [response.last for response in responses] == [False, False, False, True]
    got = b"".join(image.data for response in responses for image in response.images.images)
    assert responses[0].images.images[0].data_size == len(data)
    assert np.array_equal(np.frombuffer(got, np.uint8), 255 - pixels.reshape(-1))


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [item(png(1, 1, 1))],
        [start(), start()],
        [start(), pb.StreamTranslateRequest(more=b"x")],
        [start(), item(png(1, 1, 1), data_size=10_000)],
        [start(), item(png(1, 1, 1), data_size=10_000), item(png(1, 1, 1))],
    ],
    ids=["nothing", "no start", "two starts", "stray bytes", "missing bytes", "an item for bytes"],
)
async def test_a_stream_that_breaks_its_own_order_is_refused(
    shop: Gateway, requests: list[pb.StreamTranslateRequest]
) -> None:
    told = await refused(shop.translation.StreamTranslate(sent(requests)))
    # NOTE: grpc.aio makes up INTERNAL where a call ends while it writes (grpc/grpc#36066).
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT or told.message == "Internal error from Core"


async def test_a_stream_that_breaks_off_gives_back_all_that_it_held_at_once(shop: Gateway) -> None:
    requests = [start(), item(png(1, 1, 1), data_size=10_000)]
    # What the garbage collector would give back some time must not be waited for.
    gc.disable()
    try:
        told = await refused(shop.translation.StreamTranslate(sent(requests)))
        assert told.fields == ["more"]
        assert (shop.admission.images.used, shop.admission.bytes.used) == (0, 0)
    finally:
        gc.enable()


async def test_a_slow_client_holds_its_own_stream_back(shop: Gateway) -> None:
    taken = 0

    async def requests() -> AsyncIterator[pb.StreamTranslateRequest]:
        nonlocal taken
        yield start()
        for _ in range(2000):
            taken += 1
            yield item(bytes(48 * 64 * 3), raw_height=48, raw_width=64)

    call = shop.translation.StreamTranslate(requests())
    await call.read()
    await asyncio.sleep(0.5)
    assert shop.admission.bytes.used <= shop.admission.bytes.most
    # What gRPC's own windows take is a few megabytes, whatever the stream; the rest is not even read.
    done = sum(len(batch.inputs["source"]) for batch in shop.backend.batches)
    assert done < 1000
    assert taken < 1500
    made = 1
    while await call.read() != grpc.aio.EOF:
        made += 1
    assert (made, taken) == (2000, 2000)
    assert shop.admission.bytes.used == 0


async def test_when_a_client_goes_nothing_of_its_stream_is_left(shop: Gateway) -> None:
    shop.backend.delay_s = 0.05

    async def requests() -> AsyncIterator[pb.StreamTranslateRequest]:
        yield start()
        while True:
            yield item(png(1, 1, 1))

    call = shop.translation.StreamTranslate(requests())
    await call.read()
    call.cancel()
    await asyncio.sleep(0.3)
    batches = len(shop.backend.batches)
    await asyncio.sleep(0.2)
    assert len(shop.backend.batches) == batches
    assert shop.admission.bytes.used == 0


async def test_a_lost_backend_is_every_items_own_status(shop: Gateway) -> None:
    shop.backend.reachable = False
    responses = await answers(shop, start(), item(png(1, 1, 1)), item(png(1, 1, 1)))
    assert [one.error.code for one in responses] == [grpc.StatusCode.UNAVAILABLE.value[0]] * 2


def raw_scene(height: int, width: int) -> pb.StreamTranslateRequest:
    raw = pb.MapInput(data=bytes(height * width * 2), raw_height=height, raw_width=width, raw_bytes=2)
    source = pb.TranslationSource(scene=pb.Scene(label_map=raw, instance_map=raw))
    return pb.StreamTranslateRequest(item=pb.TranslationItem(source=source))


async def test_maps_come_in_one_message_whose_limit_is_told(shop: Gateway) -> None:
    # 2 bytes a pixel, twice: 1024 x 1024 pixels are 4 MiB, and the message is a little more.
    shop.catalog.serving("models/town").card.translation.sizes.max_px = 2**21
    responses = await answers(shop, start("town"), raw_scene(1000, 1024), raw_scene(8, 8))
    assert [one.index for one in responses if one.last and not one.HasField("error")] == [0, 1]
    told = await refused(shop.translation.StreamTranslate(sent([start("town"), raw_scene(1024, 1024)])))
    assert told.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "4194304" in told.message


async def test_a_map_as_png_is_far_below_the_limit(shop: Gateway) -> None:
    shop.catalog.serving("models/town").card.translation.sizes.max_px = 2**21
    instances = np.zeros((1024, 2048), np.uint16)
    for number in range(4):
        instances[256 * number : 256 * number + 128] = 26_000 + number
    buffer, labels = io.BytesIO(), io.BytesIO()
    Image.fromarray(instances).save(buffer, "PNG")
    Image.fromarray((instances > 0).astype(np.uint8)).save(labels, "PNG")
    scene = pb.Scene(label_map=pb.MapInput(data=labels.getvalue()), instance_map=pb.MapInput(data=buffer.getvalue()))
    scene.edits.add(remove=pb.Remove(instance=26_003))
    request = pb.StreamTranslateRequest(item=pb.TranslationItem(source=pb.TranslationSource(scene=scene)))
    assert request.ByteSize() < 2**16
    responses = await answers(shop, start("town"), request)
    assert responses[0].images.images[0].data_size == 1024 * 2048 * 3
