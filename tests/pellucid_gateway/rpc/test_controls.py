"""Classes, captions, conditions, noise and samplers, on the models of atelier."""

from statistics import NormalDist

import grpc
import numpy as np
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway import latents
from tests.pellucid_gateway import atelier
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import RAW, colour, given, refused, seed
from tests.pellucid_gateway.rpc.refusals import Refusal


@pytest.fixture
async def models(gateway: Gateway) -> Gateway:
    atelier.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


def request(
    model: str, *sources: image_pb2.Source, output: image_pb2.OutputOptions = RAW, **controls: object
) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        model=f"models/{model}", sources=sources, controls=image_pb2.Controls(**controls), output=output
    )


async def generate(gateway: Gateway, asked: pb.GenerateRequest) -> list[image_pb2.Image]:
    return list((await gateway.generation.Generate(asked)).images)


async def refusal(gateway: Gateway, asked: pb.GenerateRequest) -> Refusal:
    return await refused(gateway.generation.Generate(asked))


@pytest.mark.parametrize("chosen", [{"index": 1}, {"name": "bee"}, {"name": "Bee"}])
async def test_a_class_is_chosen_by_index_or_name(models: Gateway, chosen: dict[str, object]) -> None:
    [image] = await generate(models, request("zoo", given(0, 0), classes=[image_pb2.ClassWeight(**chosen)]))
    assert colour(image) == [0, 100, 8]


async def test_shares_of_classes_sum_to_one(models: Gateway) -> None:
    mixture = [image_pb2.ClassWeight(index=0, weight=3), image_pb2.ClassWeight(name="crane")]
    [image] = await generate(models, request("zoo", given(0, 0), classes=mixture))
    assert colour(image) == [75, 0, 33]


async def test_a_class_that_is_not_there_is_refused_with_those_alike(models: Gateway) -> None:
    told = await refusal(models, request("zoo", seed(1), classes=[image_pb2.ClassWeight(name="crain")]))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "'crane'" in told.violations["controls.classes[0].name"]
    told = await refusal(models, request("zoo", seed(1), classes=[image_pb2.ClassWeight(index=3)]))
    assert "0 to 2" in told.violations["controls.classes[0].index"]
    told = await refusal(models, request("zoo", seed(1)))
    assert "needs a class" in told.violations["controls.classes"]


async def test_truncation_scales_what_is_drawn_and_not_what_is_given(models: Gateway) -> None:
    bee = [image_pb2.ClassWeight(index=1)]
    prior = models.catalog.find("models/zoo").card.latent
    for truncation in (0.5, 0.125):
        drawn, told = await generate(models, request("zoo", seed(3), given(1, -1), classes=bee, truncation=truncation))
        assert list(drawn.latent.values) == pytest.approx(list(truncation * latents.sample(prior, 3)), rel=1e-6)
        assert list(told.latent.values) == [1, -1]
    assert colour(told) == [16, 100, 2]


async def test_truncation_is_heard_in_double_precision(models: Gateway) -> None:
    await generate(models, request("zoo", seed(3), classes=[image_pb2.ClassWeight(index=1)], truncation=0.1))
    assert models.backend.batches[-1].inputs["truncation"].tolist() == [[0.1]]


@pytest.mark.parametrize("truncation", [0.0, 1.5, -0.5])
async def test_truncation_beyond_the_cards_range_is_refused(models: Gateway, truncation: float) -> None:
    asked = request("zoo", seed(3), classes=[image_pb2.ClassWeight(index=1)], truncation=truncation)
    assert "0.01 and 1" in (await refusal(models, asked)).violations["controls.truncation"]


async def test_a_cutoff_beyond_the_layers_is_refused(models: Gateway) -> None:
    asked = request("tailor", seed(3), classes=[image_pb2.ClassWeight(index=1)], truncation_cutoff=4)
    assert "3 layers" in (await refusal(models, asked)).violations["controls.truncation_cutoff"]


async def test_the_official_sampler_gives_the_official_latents(models: Gateway) -> None:
    source = image_pb2.Source(seed=5, sampler=image_pb2.SAMPLER_OFFICIAL)
    bee, plain = [image_pb2.ClassWeight(index=1)], {"classes": [image_pb2.ClassWeight(index=0)]}
    [image] = await generate(models, request("zoo", source, classes=bee, truncation=1.0))
    normal = NormalDist()
    low, high = normal.cdf(-2), normal.cdf(2)
    uniform = np.random.RandomState(5).uniform(size=2)
    assert list(image.latent.values) == pytest.approx([normal.inv_cdf(low + u * (high - low)) for u in uniform])
    assert image.recipe.sampler == image_pb2.SAMPLER_OFFICIAL
    [again] = await generate(models, request("zoo", image_pb2.Source(recipe=image.recipe)))
    assert again.latent == image.latent
    [randn] = await generate(models, request("tailor", source, **plain))
    assert list(randn.latent.values) == pytest.approx(list(2 * np.random.RandomState(5).randn(2)), rel=1e-6)


async def test_official_seeds_end_where_numpys_do(models: Gateway) -> None:
    source = image_pb2.Source(seed=2**32, sampler=image_pb2.SAMPLER_OFFICIAL)
    told = await refusal(models, request("zoo", source, classes=[image_pb2.ClassWeight(index=1)]))
    assert told.fields == ["sources[0].seed"]
    told = await refusal(models, request("paint", image_pb2.Source(seed=1, sampler=image_pb2.SAMPLER_OFFICIAL)))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SAMPLER_NOT_SUPPORTED")


async def test_a_caption_is_read_word_by_word(models: Gateway) -> None:
    [image] = await generate(
        models, request("scribe", seed(1), caption="A small, RED bird!", conditioning_noise=[1, 0])
    )
    assert colour(image) == [1 + 4 + 2 + 3, 4, 144]
    assert models.backend.batches[0].inputs["tokens"].tolist() == [[1, 4, 2, 3]]
    assert list(image.warnings) == []


async def test_words_that_are_not_known_are_left_out_and_told(models: Gateway) -> None:
    [image] = await generate(models, request("scribe", seed(1), caption="bird of prey"))
    assert colour(image)[:2] == [3, 1]
    assert list(image.warnings) == ["words that are not in the model's vocabulary were left out: of, prey"]


@pytest.mark.parametrize("caption", ["!?", "of prey"])
async def test_a_caption_without_a_known_word_is_refused(models: Gateway, caption: str) -> None:
    told = await refusal(models, request("scribe", seed(1), caption=caption))
    assert told.fields == ["controls.caption"]


async def test_a_caption_that_is_too_long_is_refused_or_cut_as_asked(models: Gateway) -> None:
    told = await refusal(models, request("scribe", seed(1), caption="a red red red bird"))
    assert "5 words, and the model takes 4" in told.violations["controls.caption"]
    [image] = await generate(models, request("scribe", seed(1), caption="a red red red bird", truncate_caption=True))
    assert colour(image)[:2] == [7, 4]


async def test_conditioning_noise_comes_from_the_seed_and_is_zero_without_one(models: Gateway) -> None:
    drawn, mean = await generate(models, request("scribe", seed(9), given(0, 0), caption="bird"))
    noise = latents.draw(9, latents.CONDITIONING_STREAM, 2)
    assert colour(drawn)[2] == round(128 + 16 * float(noise[0]))
    assert colour(mean)[2] == 128


async def test_a_caption_is_required_by_a_model_that_reads_one(models: Gateway) -> None:
    assert (await refusal(models, request("scribe", seed(1)))).fields == ["controls.caption"]


async def test_smaller_renditions_and_attention_come_where_they_are_asked_for(models: Gateway) -> None:
    output = image_pb2.OutputOptions(
        format=image_pb2.IMAGE_FORMAT_RAW, include_intermediates=True, include_attention=True
    )
    [image] = await generate(models, request("scribe", given(0, 0), caption="a bird of", output=output))
    [smaller] = image.intermediates
    assert (smaller.height, smaller.width, list(smaller.data[:3])) == (4, 4, colour(image))
    assert [(one.word, one.height, one.width) for one in image.attention] == [("a", 4, 4), ("bird", 4, 4)]
    assert [one.largest for one in image.attention] == pytest.approx([0.25, 0.75])
    assert {one.weights for one in image.attention} == {bytes([255] * 16)}
    [plain] = await generate(models, request("scribe", given(0, 0), caption="a bird"))
    assert not plain.intermediates
    assert not plain.attention


async def test_a_vector_of_conditions_goes_through_as_it_is(models: Gateway) -> None:
    [image] = await generate(models, request("sketch", seed(1), condition=[10, 20, 30]))
    assert colour(image) == [10, 20, 30]
    for wrong, field in (([1.0, 2.0], "controls.condition"), ([1, np.nan, 3], "controls.condition[1]")):
        assert (await refusal(models, request("sketch", seed(1), condition=wrong))).fields == [field]
    assert (await refusal(models, request("sketch", seed(1)))).fields == ["controls.condition"]


async def test_noise_is_the_trained_one_seeded_or_none(models: Gateway) -> None:
    base = {"classes": [image_pb2.ClassWeight(index=0)], "truncation": 1.0}
    source = given(0, 0)
    trained, none, seeded = [
        (await generate(models, request("tailor", source, **base, **noise)))[0]
        for noise in ({}, {"noise_strength": 0.0}, {"noise_seed": 4, "noise_strength": 0.5})
    ]
    drawn = float(latents.draw(4, latents.NOISE_STREAM, 4)[0])
    assert [colour(image)[2] for image in (trained, none, seeded)] == [178, 128, round(128 + 5 * drawn)]


@pytest.mark.parametrize(
    "controls",
    [
        {"classes": [image_pb2.ClassWeight(index=0)]},
        {"caption": "a bird"},
        {"truncate_caption": True},
        {"truncation": 0.5},
        {"truncation_cutoff": 1},
        {"noise_strength": 0.5},
        {"noise_seed": 1},
        {"conditioning_noise": [1.0]},
        {"condition": [1.0]},
        {"style_mixes": [image_pb2.StyleMix(source=seed(1), layers={"first": 0, "last": 0})]},
    ],
    ids=lambda controls: next(iter(controls)),
)
async def test_a_control_that_a_model_lacks_is_refused_by_name(gateway: Gateway, controls: dict[str, object]) -> None:
    told = await refusal(gateway, request("paint", seed(1), **controls))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTROL_NOT_SUPPORTED")
    assert f"controls.{next(iter(controls))}" in told.message


async def test_the_way_between_two_classes_leads_through_their_mixtures(models: Gateway) -> None:
    ends = [
        image_pb2.Source(recipe=(await generate(models, request("zoo", given(0, 0), **controls)))[0].recipe)
        for controls in (
            {"classes": [image_pb2.ClassWeight(index=0)], "truncation": 0.2},
            {"classes": [image_pb2.ClassWeight(index=1)], "truncation": 0.6},
        )
    ]
    asked = pb.InterpolateRequest(model="models/zoo", keyframes=ends, frames_per_segment=4, output=RAW)
    frames = [image async for message in models.generation.Interpolate(asked) for image in message.images]
    assert [colour(frame) for frame in frames] == [[100, 0, 4], [75, 25, 6], [50, 50, 8], [25, 75, 10], [0, 100, 12]]
    [again] = await generate(models, request("zoo", image_pb2.Source(recipe=frames[1].recipe)))
    assert again.data == frames[1].data


async def test_there_is_no_way_between_two_captions(models: Gateway) -> None:
    ends = [
        image_pb2.Source(recipe=(await generate(models, request("scribe", seed(1), caption=caption)))[0].recipe)
        for caption in ("a bird", "a red bird")
    ]
    told = await refused(models.generation.Interpolate(pb.InterpolateRequest(model="models/scribe", keyframes=ends)))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "tokens" in told.message
