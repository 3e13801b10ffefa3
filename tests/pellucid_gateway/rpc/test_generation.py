import asyncio
import io
import math
from collections.abc import AsyncIterable, Mapping
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway import latents
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.errors import InferenceFailed
from tests.pellucid_gateway import painting
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW, include_latent=True)


def seed(number: int) -> image_pb2.Source:
    return image_pb2.Source(seed=number)


def given(*values: float) -> image_pb2.Source:
    return image_pb2.Source(latent={"values": values})


def edit(*moves: dict[str, object], locks: tuple[str, ...] = ()) -> image_pb2.EditSet:
    return image_pb2.EditSet(moves=[image_pb2.Move(**move) for move in moves], locks=locks)


def colour(image: image_pb2.Image) -> list[int]:
    return list(image.data[:3])


def painted(latent: np.ndarray) -> list[int]:
    return np.clip(np.rint(128 + 16 * latent[:3].astype(np.float64)), 0, 255).astype(int).tolist()


async def answer(call: Any) -> object:
    return [message async for message in call] if isinstance(call, AsyncIterable) else await call


async def refused(call: Any) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(call)
    return refusal(caught.value)


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


async def test_a_lock_holds_and_the_response_says_what_it_left(gateway: Gateway) -> None:
    request = pb.EditRequest(
        model="models/paint",
        sources=[given(0, 0, 0, 0)],
        edit=edit({"axis": "red", "steps": 2}, locks=("warm",)),
        output=RAW,
    )
    [image] = (await gateway.generation.Edit(request)).images
    assert [round(value, 5) for value in image.latent.values] == [2, -2, 0, 0]
    assert colour(image) == [160, 96, 128]
    [told] = image.axis_moves
    assert (told.axis, round(told.steps, 9), round(told.left_by_locks, 6)) == ("red", 2, round(math.sqrt(0.5), 6))
    assert (told.predicted_before, told.predicted_after) == (pytest.approx(128), pytest.approx(160))


async def test_a_target_is_met_whatever_the_source(gateway: Gateway) -> None:
    request = pb.EditRequest(
        model="models/paint", sources=[seed(1), seed(2)], edit=edit({"axis": "green", "target": 20}), output=RAW
    )
    made = await gateway.generation.Edit(request)
    assert [round(image.latent.values[1], 5) for image in made.images] == [2, 2]
    assert [image.axis_moves[0].predicted_after for image in made.images] == [pytest.approx(20)] * 2


async def test_a_sweep_repeats_the_edit_source_by_source(gateway: Gateway) -> None:
    request = pb.EditRequest(
        model="models/paint",
        sources=[given(0, 0, 0, 0), given(1, 0, 0, 0)],
        edit=edit({"axis": "green", "steps": 1}),
        sweep=pb.Sweep(axis="red", amounts=[-1, 0, 1]),
        output=RAW,
    )
    made = await gateway.generation.Edit(request)
    assert [colour(image)[:2] for image in made.images] == [
        [112, 144], [128, 144], [144, 144], [128, 144], [144, 144], [160, 144],
    ]  # fmt: skip
    assert made.images[2].recipe.edits[0].edit.moves[1] == image_pb2.Move(axis="red", steps=1)


async def test_several_axes_meet_their_steps_together(gateway: Gateway) -> None:
    moves = edit({"axis": "red", "steps": 1}, {"axis": "warm", "steps": 0})
    request = pb.EditRequest(model="models/paint", sources=[given(0, 0, 0, 0)], edit=moves, output=RAW)
    assert colour((await gateway.generation.Edit(request)).images[0]) == [144, 112, 128]


async def test_a_move_beyond_the_linear_range_is_made_with_a_warning(gateway: Gateway) -> None:
    request = pb.EditRequest(model="models/paint", sources=[seed(1)], edit=edit({"axis": "red", "steps": 4}))
    [image] = (await gateway.generation.Edit(request)).images
    assert list(image.warnings) == ["axis 'red' moves 4 steps, beyond its linear range of 3"]


async def test_a_recipe_gives_its_image_again_and_can_be_edited_further(gateway: Gateway) -> None:
    once = pb.EditRequest(
        model="models/paint", sources=[seed(5)], edit=edit({"axis": "red", "steps": 1}, locks=("warm",)), output=RAW
    )
    [first] = (await gateway.generation.Edit(once)).images
    again = pb.GenerateRequest(model="models/paint", sources=[image_pb2.Source(recipe=first.recipe)], output=RAW)
    [same] = (await gateway.generation.Generate(again)).images
    assert (same.data, same.latent, same.recipe) == (first.data, first.latent, first.recipe)

    back = pb.EditRequest(
        model="models/paint",
        sources=[image_pb2.Source(recipe=first.recipe)],
        edit=edit({"axis": "red", "steps": -1}, locks=("warm",)),
        output=RAW,
    )
    [undone] = (await gateway.generation.Edit(back)).images
    np.testing.assert_allclose(undone.latent.values, latents.draw(5, 0, 4), atol=1e-6)
    assert len(undone.recipe.edits) == 2


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


async def test_a_stream_edit_takes_seeds(gateway: Gateway) -> None:
    request = pb.StreamEditRequest(
        model="models/paint",
        seeds=pb.SeedRange(first=3, count=2),
        edit=edit({"axis": "bare", "steps": 1}),
        sweep=pb.Sweep(axis="red", amounts=[0, 1]),
        output=RAW,
    )
    made = [image async for message in gateway.generation.StreamEdit(request) for image in message.images]
    wanted = [latents.draw(number, 0, 4) + np.float32([red, 0, 1, 0]) for number in (3, 4) for red in (0, 1)]
    assert [colour(image) for image in made] == [painted(latent) for latent in wanted]


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


PAINT = "models/paint"
BAD = [
    ("Generate", pb.GenerateRequest(), {"model": "does not match regex pattern"}),
    ("Generate", pb.GenerateRequest(model="paint"), {"model": "'paint'"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[image_pb2.Source()]), {"sources[0].source": "exactly one field"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[given(1, 2, 3)]), {"sources[0].latent.values": "3 numbers, and models/paint takes 4"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1), given(1, math.nan, 3, math.inf)]),
     {"sources[1].latent.values[1]": "nan is not finite", "sources[1].latent.values[3]": "inf is not finite"}),
    ("Generate", pb.GenerateRequest(model=PAINT, seeds=pb.SeedRange(count=65)), {"sources": "65 images, and a unary call gives at most 64"}),
    ("Generate", pb.GenerateRequest(model=PAINT, seeds=pb.SeedRange(count=0)), {"seeds.count": "and it is 0"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1)] * 65), {"sources": "no more than 64"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1)], seeds=pb.SeedRange()), {"seeds": "not together with sources"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"format": 9}), {"output.format": "and it is 9"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"quality": 101}), {"output.quality": "and it is 101"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"quality": 50, "format": 2}), {"output.quality": "IMAGE_FORMAT_PNG has no quality"}),
    ("Generate", pb.GenerateRequest(model=PAINT, priority=7), {"priority": "and it is 7"}),
    ("StreamGenerate", pb.StreamGenerateRequest(model=PAINT, seeds=pb.SeedRange(count=1_000_001)), {"seeds.count": "and it is 1000001"}),
    ("StreamGenerate", pb.StreamGenerateRequest(model=PAINT, sources=[seed(1), seed(2), given(1)]), {"sources[2].latent.values": "1 numbers, and models/paint takes 4"}),
    ("Edit", pb.EditRequest(model=PAINT), {"sources": "at least 1 item"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red"})), {"edit.moves[0].amount": "exactly one field"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": math.inf})), {"edit.moves[0].steps": "must be finite"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": -7})), {"edit.moves[0]": "would move 7 steps, and its limit is 6"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], sweep=pb.Sweep(axis="red", amounts=[0, 9])), {"sweep": "would move 9 steps, and its limit is 6"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], sweep=pb.Sweep(axis="red")), {"sweep.amounts": "at least 1 item"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, locks=("red",))), {"edit.moves[0].axis": "both moved and locked"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, {"axis": "red", "steps": 2})), {"edit.moves[1].axis": "moved twice"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, locks=("warm", "green"))), {"edit.moves[0]": r"the locks (warm, green) leave 0.000 of axis 'red'"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit(locks=("red", "green", "red"))), {"edit.locks[2]": "axis 'red' is locked twice"}),
    ("Interpolate", pb.InterpolateRequest(model=PAINT, keyframes=[seed(1), given(1)]), {"keyframes[1].latent.values": "1 numbers"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "bare", "target": 3})), {"edit.moves[0].target": "has no slope or intercept"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "glow", "target": 1.5})), {"edit.moves[0].target": "1.5 is not between 0 and 1"}),
    ("StreamEdit", pb.StreamEditRequest(model=PAINT), {"sources": "one of sources and seeds is required"}),
    ("Interpolate", pb.InterpolateRequest(model=PAINT, keyframes=[seed(1)]), {"keyframes": "at least 2 item"}),
    ("RenderImage", pb.RenderImageRequest(model=PAINT, moves=["red=2"]), {"moves[0]": "'red=2'"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "request_", "violations"), BAD)
async def test_bad_input_is_refused_with_the_field_the_value_and_the_limit(
    gateway: Gateway, method: str, request_: object, violations: dict[str, str]
) -> None:
    told = await refused(getattr(gateway.generation, method)(request_))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(told.violations) == set(violations)
    for field, text in violations.items():
        assert text in told.violations[field]
    assert gateway.backend.batches == []


@pytest.mark.parametrize(
    ("request_", "code", "reason", "message"),
    [
        (pb.EditRequest(model="models/nobody", sources=[seed(1)]), "NOT_FOUND", "NOT_FOUND", "no model 'models/nobody'"),
        (pb.EditRequest(model=PAINT, version="4", sources=[seed(1)]), "NOT_FOUND", "NOT_FOUND", "no version of models/paint '4'"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "age", "steps": 1})), "NOT_FOUND", "NOT_FOUND", "no axis 'age'; there are bare, glow, green, red, warm"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit(locks=("age",))), "NOT_FOUND", "NOT_FOUND", "no axis 'age'"),
        (pb.EditRequest(model="models/meter", sources=[seed(1)]), "FAILED_PRECONDITION", "WRONG_TASK", "models/meter is of TASK_CLASSIFY"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"truncation": 0.7}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no truncation"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"caption": "a bird"}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no caption"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"classes": [{"index": 3}]}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no classes"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(latent={"space": 2, "values": [1] * 4})]), "FAILED_PRECONDITION", "SPACE_NOT_SUPPORTED", "takes no SPACE_W latents"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": "models/other", "seed": 1})]), "FAILED_PRECONDITION", "WRONG_MODEL", "is of models/other"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": PAINT, "seed": 1, "weights_digest": "sha256:0"})]), "FAILED_PRECONDITION", "WEIGHTS_DIFFER", "was made with the weights sha256:0"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": PAINT, "seed": 1, "sampler_version": 99})]), "FAILED_PRECONDITION", "SAMPLER_DIFFERS", "made with sampler 99"),
    ],
)  # fmt: skip
async def test_what_a_model_cannot_do_is_refused_by_name(
    gateway: Gateway, request_: pb.EditRequest, code: str, reason: str, message: str
) -> None:
    told = await refused(gateway.generation.Edit(request_))
    assert (told.code.name, told.reason) == (code, reason)
    assert message in told.message
    assert gateway.backend.batches == []


async def test_recipes_that_would_break_their_own_limits_are_refused_before_inference(gateway: Gateway) -> None:
    applied = image_pb2.AppliedEdit(edit=edit({"axis": "red", "steps": 0.01}))
    full = image_pb2.Source(recipe=image_pb2.Recipe(model=PAINT, seed=1, edits=[applied] * 64))
    again = pb.GenerateRequest(model=PAINT, sources=[full])
    assert len((await gateway.generation.Generate(again)).images) == 1
    batches = len(gateway.backend.batches)
    once_more = pb.EditRequest(model=PAINT, sources=[full], edit=edit({"axis": "red", "steps": 1}))
    told = await refused(gateway.generation.Edit(once_more))
    assert told.violations == {"sources[0]": "its recipe would have 65 edits, and the limit is 64"}
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT, sources=[full] * 17)))
    assert told.violations == {"sources": "recipes with 1088 edits in all, and the limit is 1024"}
    assert len(gateway.backend.batches) == batches


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


async def test_recipes_nested_too_deep_are_refused(gateway: Gateway) -> None:
    source = seed(1)
    for _ in range(6):
        way = image_pb2.Interpolation(start=source, end=seed(2), position=0.5)
        source = image_pb2.Source(recipe=image_pb2.Recipe(model=PAINT, interpolation=way))
    told = await refused(gateway.generation.Edit(pb.EditRequest(model=PAINT, sources=[source])))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert any("nested deeper than 4" in text for text in told.violations.values())


async def test_a_message_over_the_limit_is_refused_and_the_next_is_served(gateway: Gateway) -> None:
    huge = pb.GenerateRequest(model=PAINT, request_id="x" * (4 * 2**20 + 1))
    told = await refused(gateway.generation.Generate(huge))
    assert told.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1


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
    assert gateway.budget.used == 0


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
    assert gateway.budget.used <= gateway.budget.limit / 8
    assert {len(batch.inputs["latent"]) for batch in gateway.backend.batches} == {1}
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1
    call.cancel()


async def test_more_than_fits_in_flight_is_refused_with_a_time_to_try_again(gateway: Gateway) -> None:
    with gateway.budget.refuse_beyond(gateway.budget.limit):
        told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert told.retry_after_s == pytest.approx(0.2)


async def test_a_lost_backend_is_unavailable_with_a_time_to_try_again(gateway: Gateway) -> None:
    gateway.backend.reachable = False
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNREACHABLE")
    assert told.retry_after_s == 1
    gateway.backend.reachable = True
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1


async def test_a_failed_inference_is_internal_with_its_reason(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceFailed("Triton could not run 'paint': no")
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INFERENCE_FAILED")


async def test_what_nobody_foresaw_is_answered_without_details(gateway: Gateway) -> None:
    def broken(inputs: object) -> dict[str, np.ndarray]:
        raise ZeroDivisionError("secret")

    gateway.backend.models["paint"] = (gateway.backend.models["paint"][0], broken)
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in told.message
