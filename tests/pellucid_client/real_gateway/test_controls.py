"""Controls of atelier's models, asked for by both faces of the client."""

from typing import Any

import numpy as np
import pytest

from pellucid_client import Controls, InvalidRequest, Latent, StyleMix, Unsupported
from tests.pellucid_client.faces import got

SILK = {"classes": "silk", "truncation": 1.0, "noise_strength": 0.0}
"""All layers of the tailor as they are, without noise."""


async def colours(answer: Any) -> list[list[int]]:
    return [image.array()[0, 0].tolist() for image in await got(answer)]


@pytest.mark.parametrize("condition", [[10, 20, 30], np.array([10.0, 20, 30])])
async def test_a_vector_of_conditions_is_given_as_numbers_or_an_array(client: Any, condition: Any) -> None:
    controls = Controls(condition=condition)
    assert await colours(client.generate("sketch", seed=1, format="raw", controls=controls)) == [[10, 20, 30]]


async def test_a_caption_is_resampled_with_the_noise_given(client: Any) -> None:
    controls = Controls(caption="a small red bird", conditioning_noise=np.array([-2, 0]))
    assert await colours(client.generate("scribe", seed=1, format="raw", controls=controls)) == [[10, 4, 96]]


async def test_a_caption_is_cut_where_that_is_asked_for(client: Any) -> None:
    long = Controls(caption="a red red red bird", conditioning_noise=[0, 0])
    with pytest.raises(InvalidRequest, match="5 words, and the model takes 4"):
        await got(client.generate("scribe", seed=1, controls=long))
    cut = Controls(caption="a red red red bird", conditioning_noise=[0, 0], truncate_caption=True)
    assert await colours(client.generate("scribe", seed=1, format="raw", controls=cut)) == [[7, 4, 128]]


async def test_unknown_words_come_back_as_a_warning(client: Any) -> None:
    [image] = await got(client.generate("scribe", seed=1, controls=Controls(caption="bird of prey")))
    assert image.warnings == ("words that are not in the model's vocabulary were left out: of, prey",)


async def test_classes_are_searched_by_the_words_in_their_names(client: Any) -> None:
    assert await got(client.classes("zoo")) == [(0, "great ape"), (1, "bee"), (2, "crane")]
    assert await got(client.classes("models/zoo", "ape GREAT")) == [(0, "great ape")]
    assert await got(client.classes("zoo", "whale")) == []
    assert await got(client.classes("sketch")) == []


async def test_styles_are_given_in_w_and_read_back(client: Any) -> None:
    w = Latent(np.array([4, 1]), "w")
    wp = Latent(np.array([[1, 0], [2, 0], [3, 0]]), "w+")
    options = {"controls": Controls(**SILK), "format": "raw", "include_latent": True}
    flat, layered = await got(client.generate("tailor", [w, wp], **options))
    assert [image.array()[0, 0].tolist() for image in (flat, layered)] == [[160, 160, 160], [136, 144, 152]]
    assert (flat.latent.space, layered.latent.space) == ("w", "w+")
    assert flat.latent.styles(3).tolist() == [[4, 1]] * 3
    assert layered.latent.styles(3).tolist() == [[1, 0], [2, 0], [3, 0]]
    [again] = await got(client.generate("tailor", layered.latent, **options))
    assert again.data == layered.data


async def test_the_way_between_styles_is_straight_unless_it_is_said_otherwise(client: Any) -> None:
    ends = [Latent(np.array(values), "w") for values in ([4, 0], [0, 8])]
    options = {"controls": Controls(**SILK), "model": "tailor", "frames": 4, "include_latent": True}
    frames = await got(client.interpolate(*ends, **options))
    assert [frame.latent.values.tolist() for frame in frames] == [[4, 0], [3, 2], [2, 4], [1, 6], [0, 8]]
    with pytest.raises(InvalidRequest, match="PATH_SPHERICAL"):
        await got(client.interpolate(*ends, path="spherical", **options))


async def test_an_image_is_made_again_under_other_controls(client: Any) -> None:
    latent, bee = np.zeros(2), Controls(classes="bee", truncation=0.25)
    [image] = await got(client.generate("zoo", latents=latent, format="raw", controls=bee))
    assert image.array()[0, 0].tolist() == [0, 100, 5]
    sources = [image, image.recipe]
    assert await colours(client.generate("zoo", sources, format="raw")) == [[0, 100, 5]] * 2
    crane = Controls(classes={2: 1, 0: 3})
    assert await colours(client.stream_generate("zoo", image, format="raw", controls=crane)) == [[75, 0, 30]]
    with pytest.raises(InvalidRequest, match="only one way"):
        await got(client.generate("zoo", image, seed=1))


async def test_a_class_is_a_name_or_any_whole_number(client: Any) -> None:
    for chosen in ("bee", 1, np.int64(1)):
        controls = Controls(classes=chosen, truncation=0.5)
        answer = client.generate("zoo", latents=np.zeros(2), format="raw", controls=controls)
        assert await colours(answer) == [[0, 100, 10]]


async def test_a_control_that_a_model_lacks_is_unsupported(client: Any) -> None:
    with pytest.raises(Unsupported, match="models/paint has no condition") as caught:
        await got(client.generate("paint", seed=1, controls=Controls(condition=[1.0])))
    assert caught.value.reason == "CONTROL_NOT_SUPPORTED"


async def test_official_seeds_become_the_official_latents(client: Any) -> None:
    mapped = [2 * np.random.RandomState(seed).randn(2) for seed in range(5, 8)]
    options = {"sampler": "official", "include_latent": True, "controls": Controls(**SILK)}
    for answer in (
        client.generate("tailor", first_seed=5, count=3, **options),
        client.generate("tailor", seeds=range(5, 8), **options),
        client.stream_generate("tailor", np.array([5, 6, 7]), **options),
        client.stream_edit(range(5, 8), model="tailor", **options),
        client.edit([5, 6, 7], model="tailor", **options),
        client.interpolate(5, 6, 7, frames=1, model="tailor", **options),
    ):
        images = await got(answer)
        assert [image.seed for image in images] == [5, 6, 7]
        for image, official in zip(images, mapped, strict=True):
            assert image.latent.values == pytest.approx(official, rel=1e-6)
    [ours] = await got(client.generate("tailor", seed=5, **(options | {"sampler": "pellucid"})))
    assert ours.latent.values != pytest.approx(mapped[0], rel=1e-3)


async def test_seeds_of_style_mixes_are_official_too(client: Any) -> None:
    mix = Controls(**SILK, style_mixes=[StyleMix(6, 1, 2)])
    [image] = await got(client.generate("tailor", seed=5, sampler="official", include_latent=True, controls=mix))
    below, above = (2 * np.random.RandomState(seed).randn(2) for seed in (5, 6))
    assert image.latent.styles(3) == pytest.approx(np.array([below, above, above]), rel=1e-6)


async def test_a_recipe_keeps_the_sampler_it_was_made_with(client: Any) -> None:
    options = {"include_latent": True, "controls": Controls(**SILK)}
    [ours] = await got(client.generate("tailor", seed=5, **options))
    [again] = await got(client.generate("tailor", ours, sampler="official", **options))
    assert again.latent.values.tolist() == ours.latent.values.tolist()


async def test_smaller_renditions_and_attention_come_with_the_image(client: Any) -> None:
    options = {"include_intermediates": True, "include_attention": True}
    controls = Controls(caption="a bird of", conditioning_noise=[0, 0])
    for face_format in ("raw", "webp"):
        [once] = await got(client.generate("scribe", seed=1, format=face_format, controls=controls, **options))
        [streamed] = await got(
            client.stream_generate("scribe", seed=1, format=face_format, controls=controls, **options)
        )
        for image in (once, streamed):
            [smaller] = image.intermediates
            assert np.array_equal(smaller.array(), np.full((4, 4, 3), [4, 2, 128]))
            assert smaller.pil().size == (4, 4)
            assert [shown.word for shown in image.attention] == ["a", "bird"]
            for shown, share in zip(image.attention, (0.25, 0.75), strict=True):
                assert shown.weights.dtype == np.float32
                assert shown.weights == pytest.approx(np.full((4, 4), share))
    [plain] = await got(client.generate("scribe", seed=1, controls=controls))
    assert (plain.intermediates, plain.attention) == ((), ())
