import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway.backends.base import Tensor
from tests.pellucid_gateway import painting
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import PAINT, RAW, edit, given, refused


async def serve_large(gateway: Gateway, px: int) -> None:
    """Serve `models/large`: images of px x px whose rows count up from 0."""
    stages = [{"role": "synthesis", "model": "large", "inputs": ["latent"], "outputs": ["image"]}]
    card = painting.paint_card(height=px, width=px, stages=stages)

    def large(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = np.arange(px, dtype=np.uint8)[None, :, None, None]
        return {"image": np.broadcast_to(rows, (len(inputs["latent"]), px, px, 3)).copy()}

    gateway.backend.models["large"] = (painting.config(card), large)
    folder = gateway.repository / "large" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").touch()
    (folder / "version.json").write_text("{}")
    await gateway.catalog.refresh()


async def test_a_large_image_comes_in_parts_that_make_the_whole(gateway: Gateway) -> None:
    await serve_large(gateway, 1024)
    request = pb.StreamGenerateRequest(model="models/large", seeds=pb.SeedRange(count=2), output=RAW)
    parts = [image async for message in gateway.generation.StreamGenerate(request) for image in message.images]
    assert [part.index for part in parts] == [0, 0, 0, 1, 1, 1]
    assert [part.data_size for part in parts] == [3 * 2**20, 0, 0] * 2
    whole = b"".join(part.data for part in parts[:3])
    assert whole == np.repeat(np.arange(1024, dtype=np.uint8), 1024 * 3).tobytes()

    unary = pb.GenerateRequest(model="models/large", seeds=pb.SeedRange(count=2), output=RAW)
    told = await refused(gateway.generation.Generate(unary))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "2 images may take" in told.violations["sources"]
    assert "use the stream" in told.violations["sources"]


async def test_a_target_out_of_reach_ends_a_stream_after_the_images_before_it(gateway: Gateway) -> None:
    sources = [given(0, 0, 0, 0)] * 40 + [given(0, 9, 0, 0)]
    request = pb.StreamEditRequest(model=PAINT, sources=sources, edit=edit({"axis": "green", "target": 10}), output=RAW)
    seen: list[image_pb2.Image] = []
    told = await refused(collect(gateway.generation.StreamEdit(request), seen))
    assert len(seen) == 32
    [(field, description)] = told.violations.items()
    assert field == "edit.moves[0]"
    assert "would move 9 steps, and its limit is 6 (images 32 to 40)" in description


async def collect(call: Any, into: list[image_pb2.Image]) -> None:
    async for message in call:
        into.extend(message.images)


async def test_a_deadline_that_cannot_be_met_is_told_and_later_requests_are_unharmed(gateway: Gateway) -> None:
    gateway.backend.delay_s = 0.5
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT), timeout=0.05))
    assert told.code == grpc.StatusCode.DEADLINE_EXCEEDED
    gateway.backend.delay_s = 0
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT), timeout=2)).images) == 1


async def test_when_a_reader_goes_no_further_batch_of_its_stream_starts(gateway: Gateway) -> None:
    gateway.backend.delay_s = 0.01
    request = pb.StreamGenerateRequest(model=PAINT, seeds=pb.SeedRange(count=1_000_000), output=RAW)
    call = gateway.generation.StreamGenerate(request)
    await call.read()
    call.cancel()
    await asyncio.sleep(0.1)
    started = len(gateway.backend.batches)
    await asyncio.sleep(0.2)
    assert len(gateway.backend.batches) == started < 50
    assert gateway.admission.bytes.used == 0


async def test_a_slow_reader_holds_its_stream_back(gateway: Gateway) -> None:
    await serve_large(gateway, 256)
    request = pb.StreamGenerateRequest(model="models/large", seeds=pb.SeedRange(count=1_000_000), output=RAW)
    call = gateway.generation.StreamGenerate(request)
    await call.read()
    before = -1
    async with asyncio.timeout(30):
        while before != len(gateway.backend.batches):
            before = len(gateway.backend.batches)
            await asyncio.sleep(0.5)
    assert before < 100
    call.cancel()


async def test_a_stream_of_large_images_leaves_room_for_others(gateway: Gateway) -> None:
    await serve_large(gateway, 1024)
    request = pb.StreamGenerateRequest(model="models/large", seeds=pb.SeedRange(count=100), output=RAW)
    call = gateway.generation.StreamGenerate(request)
    await call.read()
    assert gateway.admission.bytes.used <= gateway.admission.bytes.most / 8
    assert {len(batch.inputs["latent"]) for batch in gateway.backend.batches} == {1}
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1
    call.cancel()
