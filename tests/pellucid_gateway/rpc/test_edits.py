import math

import numpy as np
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway import latents
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import RAW, colour, edit, given, painted, seed


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
