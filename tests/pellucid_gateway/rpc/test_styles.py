"""Edits and mixes behind a mapping, on `models/tailor` (see atelier)."""

import grpc
import numpy as np
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2, latent_pb2
from tests.pellucid_gateway import atelier
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import RAW, colour, edit, given, refused, seed

TAILOR = "models/tailor"
SILK = image_pb2.ClassWeight(index=0)
WOOL = image_pb2.ClassWeight(index=1)


@pytest.fixture
async def tailor(gateway: Gateway) -> Gateway:
    atelier.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


def controls(**given_: object) -> image_pb2.Controls:
    """All layers as they are, no noise, unless said otherwise."""
    plain = {"classes": [SILK], "truncation": 1.0, "noise_strength": 0.0}
    return image_pb2.Controls(**(plain | given_))


async def generate(gateway: Gateway, *sources: image_pb2.Source, **given_: object) -> list[image_pb2.Image]:
    request = pb.GenerateRequest(model=TAILOR, sources=sources, controls=controls(**given_), output=RAW)
    return list((await gateway.generation.Generate(request)).images)


async def edited(
    gateway: Gateway, source: image_pb2.Source, edit_set: image_pb2.EditSet, **given_: object
) -> image_pb2.Image:
    request = pb.EditRequest(model=TAILOR, sources=[source], edit=edit_set, controls=controls(**given_), output=RAW)
    return (await gateway.generation.Edit(request)).images[0]


def mix(source: image_pb2.Source, first: int, last: int) -> image_pb2.StyleMix:
    return image_pb2.StyleMix(source=source, layers=latent_pb2.LayerRange(first=first, last=last))


async def test_a_latent_goes_through_mapping_and_synthesis(tailor: Gateway) -> None:
    [image] = await generate(tailor, given(1, 0))
    assert colour(image) == [144, 144, 144]
    assert (image.latent.space, list(image.latent.values)) == (latent_pb2.SPACE_W, [2, 0])


async def test_the_class_goes_into_the_mapping(tailor: Gateway) -> None:
    [image] = await generate(tailor, given(1, 0), classes=[WOOL])
    assert colour(image) == [152, 152, 152]


async def test_an_edit_in_w_comes_before_the_truncation(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "wide", "steps": 1.5}), truncation=0.5)
    # w = 2 + 1.5 * 2 = 5; layers 0 and 1 are halfway from 1 to it.
    assert colour(image) == [152, 152, 168]
    assert list(image.latent.values) == [5, 0]
    [move] = image.axis_moves
    assert (move.steps, move.predicted_before, move.predicted_after) == pytest.approx((1.5, 15, 22.5))


async def test_the_card_says_how_much_is_truncated_by_default(tailor: Gateway) -> None:
    request = pb.GenerateRequest(model=TAILOR, sources=[given(1, 0)], controls={"classes": [SILK]}, output=RAW)
    [image] = (await tailor.generation.Generate(request)).images
    assert colour(image) == [140, 140, 194]


async def test_a_target_in_w_is_reached_from_where_the_mapping_leads(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "wide", "target": 30}))
    # 10 + 5 steps = 30 at 4 steps, which is 8 from the centre.
    assert list(image.latent.values) == pytest.approx([8, 0])
    assert image.axis_moves[0].steps == pytest.approx(3)


async def test_a_distance_moves_every_layer_as_far(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "wide", "distance": 0.75}))
    assert list(image.latent.values) == pytest.approx([2.75, 0])


async def test_an_axis_of_one_layer_moves_that_layer_alone(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "hem", "steps": 3}))
    assert colour(image) == [144, 144, 168]
    assert (image.latent.space, list(image.latent.values)) == (latent_pb2.SPACE_W_PLUS, [2, 0, 2, 0, 5, 0])


async def test_a_locked_layer_stays_while_the_others_make_up_for_it(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "wide", "steps": 1}, locks=("hem",)))
    # The mean of the layers must rise by 2, and layer 2 must not: the others rise by 3.
    assert list(image.latent.values) == pytest.approx([5, 0, 5, 0, 2, 0])
    assert image.axis_moves[0].left_by_locks == pytest.approx(np.sqrt(2 / 3))


async def test_layers_are_mixed_in_after_the_edit(tailor: Gateway) -> None:
    image = await edited(tailor, given(1, 0), edit({"axis": "wide", "steps": 1}), style_mixes=[mix(given(-1, 0), 1, 1)])
    assert list(image.latent.values) == [4, 0, -2, 0, 4, 0]


async def test_a_later_mix_counts_where_two_overlap(tailor: Gateway) -> None:
    mixes = [mix(given(-1, 0), 0, 1), mix(given(3, 0), 1, 2)]
    [image] = await generate(tailor, given(1, 0), style_mixes=mixes)
    assert list(image.latent.values) == [-2, 0, 6, 0, 6, 0]


async def test_a_recipe_gives_an_edited_and_mixed_image_again(tailor: Gateway) -> None:
    image = await edited(
        tailor,
        seed(7),
        edit({"axis": "wide", "steps": 1}),
        style_mixes=[mix(seed(8), 2, 2)],
        classes=[WOOL],
        truncation=0.25,
    )
    request = pb.GenerateRequest(model=TAILOR, sources=[image_pb2.Source(recipe=image.recipe)], output=RAW)
    [again] = (await tailor.generation.Generate(request)).images
    assert (again.data, again.latent, again.recipe) == (image.data, image.latent, image.recipe)


async def test_a_recipe_that_is_mixed_in_keeps_its_own_class(tailor: Gateway) -> None:
    [wool] = await generate(tailor, given(1, 0), classes=[WOOL])
    [mixed] = await generate(tailor, given(0, 0), style_mixes=[mix(image_pb2.Source(recipe=wool.recipe), 0, 0)])
    assert list(mixed.latent.values) == [3, 0, 0, 0, 0, 0]
    request = pb.GenerateRequest(model=TAILOR, sources=[image_pb2.Source(recipe=mixed.recipe)], output=RAW)
    [again] = (await tailor.generation.Generate(request)).images
    assert again.latent == mixed.latent


async def test_an_edit_in_z_comes_before_the_mapping_and_one_in_w_may_follow(tailor: Gateway) -> None:
    before = await edited(tailor, given(1, 0), edit({"axis": "length", "steps": 2}))
    assert list(before.latent.values) == [6, 0]
    after = await edited(tailor, image_pb2.Source(recipe=before.recipe), edit({"axis": "wide", "steps": -1}))
    assert list(after.latent.values) == [4, 0]


async def test_no_way_leads_back_from_w_to_z(tailor: Gateway) -> None:
    after = await edited(tailor, given(1, 0), edit({"axis": "wide", "steps": 1}))
    source = image_pb2.Source(recipe=after.recipe)
    told = await refused(
        tailor.generation.Edit(
            pb.EditRequest(
                model=TAILOR, sources=[source], edit=edit({"axis": "length", "steps": 1}), controls=controls()
            )
        )
    )
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert told.fields == ["sources[0]"]


async def test_axes_of_two_spaces_cannot_be_solved_together(tailor: Gateway) -> None:
    both = edit({"axis": "length", "steps": 1}, {"axis": "wide", "steps": 1})
    call = tailor.generation.Edit(pb.EditRequest(model=TAILOR, sources=[given(1, 0)], edit=both, controls=controls()))
    told = await refused(call)
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["edit"])
    assert "'length' lie in SPACE_Z and 'wide' in SPACE_W" in told.message


async def test_styles_may_be_given_and_come_back_as_they_were(tailor: Gateway) -> None:
    w = image_pb2.Source(latent=latent_pb2.Latent(space=latent_pb2.SPACE_W, values=[4, 1]))
    wp = image_pb2.Source(latent=latent_pb2.Latent(space=latent_pb2.SPACE_W_PLUS, values=[1, 0, 2, 0, 3, 0]))
    images = await generate(tailor, w, wp)
    assert [colour(image) for image in images] == [[160, 160, 160], [136, 144, 152]]
    assert [image.latent for image in images] == [w.latent, wp.latent]


@pytest.mark.parametrize("space", [latent_pb2.SPACE_W, latent_pb2.SPACE_W_PLUS])
async def test_a_style_of_the_wrong_length_is_refused(tailor: Gateway, space: "latent_pb2.Space.ValueType") -> None:
    source = image_pb2.Source(latent=latent_pb2.Latent(space=space, values=[1.0] * 5))
    told = await refused(
        tailor.generation.Generate(pb.GenerateRequest(model=TAILOR, sources=[source], controls=controls()))
    )
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["sources[0].latent.values"])


async def test_a_seed_is_mapped_once(tailor: Gateway) -> None:
    for _ in range(2):
        await generate(tailor, seed(1), seed(2), seed(1))
    mapped = [batch for batch in tailor.backend.batches if batch.model == "tailor.mapping"]
    assert [len(batch.inputs["latent"]) for batch in mapped] == [2]


async def test_the_way_between_styles_is_straight(tailor: Gateway) -> None:
    ends = [image_pb2.Source(latent=latent_pb2.Latent(space=latent_pb2.SPACE_W, values=v)) for v in ([4, 0], [0, 8])]
    request = pb.InterpolateRequest(model=TAILOR, keyframes=ends, frames_per_segment=4, controls=controls(), output=RAW)
    frames = [image async for message in tailor.generation.Interpolate(request) for image in message.images]
    assert [list(frame.latent.values) for frame in frames] == [[4, 0], [3, 2], [2, 4], [1, 6], [0, 8]]
    again = pb.GenerateRequest(model=TAILOR, sources=[image_pb2.Source(recipe=frames[1].recipe)], output=RAW)
    assert (await tailor.generation.Generate(again)).images[0].latent == frames[1].latent
    request.path = image_pb2.PATH_SPHERICAL
    told = await refused(tailor.generation.Interpolate(request))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT


async def test_frames_are_interpolated_in_z_before_layers_are_mixed_in(tailor: Gateway) -> None:
    request = pb.InterpolateRequest(
        model=TAILOR,
        keyframes=[given(2, 0), given(0, 2)],
        frames_per_segment=2,
        controls=controls(style_mixes=[mix(given(5, 5), 2, 2)]),
        output=RAW,
    )
    frames = [image async for message in tailor.generation.Interpolate(request) for image in message.images]
    halfway = 2 * np.sqrt(2)
    assert list(frames[1].latent.values) == pytest.approx([halfway, halfway, halfway, halfway, 10, 10])


async def test_layers_beyond_the_models_are_refused(tailor: Gateway) -> None:
    for first, last in ((0, 3), (2, 1)):
        told = await refused(
            tailor.generation.Generate(
                pb.GenerateRequest(
                    model=TAILOR, sources=[seed(1)], controls=controls(style_mixes=[mix(seed(2), first, last)])
                )
            )
        )
        assert told.fields == ["controls.style_mixes[0].layers"]


async def test_a_batch_of_different_callers_keeps_each_ones_controls(tailor: Gateway) -> None:
    wanted = []
    for k, (truncation, cutoff, chosen) in enumerate([(1, 3, SILK), (0.5, 1, WOOL), (-1, 2, SILK), (0, 3, WOOL)]):
        [image] = await generate(tailor, given(k, 0), truncation=truncation, truncation_cutoff=cutoff, classes=[chosen])
        source = image_pb2.Source(recipe=image.recipe)
        wanted.append((source, image.data))
    together = pb.GenerateRequest(model=TAILOR, sources=[source for source, _ in wanted], output=RAW)
    images = (await tailor.generation.Generate(together)).images
    assert [image.data for image in images] == [data for _, data in wanted]
    assert len({data for _, data in wanted}) == 4


async def test_a_stream_edits_behind_the_mapping_too(tailor: Gateway) -> None:
    request = pb.StreamEditRequest(
        model=TAILOR,
        seeds=pb.SeedRange(first=0, count=40),
        edit=edit({"axis": "wide", "steps": 1}),
        controls=controls(),
        output=RAW,
    )
    images = [image async for message in tailor.generation.StreamEdit(request) for image in message.images]
    plain = await generate(tailor, *map(seed, range(40)))
    for image, before in zip(images, plain, strict=True):
        assert list(image.latent.values) == pytest.approx([before.latent.values[0] + 2, before.latent.values[1]])
