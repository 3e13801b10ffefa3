"""Translate on workshop's models, asked for by both faces of the client."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pellucid_client import (
    Change,
    Fit,
    InvalidRequest,
    Paste,
    Relabel,
    Remove,
    Scene,
    Style,
    Unsupported,
)
from tests.pellucid_client.faces import got
from tests.pellucid_client.real_gateway.pictures import INSTANCES, LABELS, flat, png

DARK_HAT = {"dark": 1, "fair": 0, "hat": 1}


async def colours(answer: Any) -> list[list[int]]:
    return [image.array()[0, 0].tolist() for image in await got(answer)]


@pytest.mark.parametrize(
    ("to", "wanted"),
    [
        ("fair", [[0, 20, 30]]),
        ("hat", [[10, 0, 0]]),
        (["fair", "hat"], [[0, 20, 30], [10, 0, 0]]),
        (Change("fair", "hat"), [[0, 20, 0]]),
        (Change("fair", "hat", of="looks"), [[0, 20, 0]]),
        (Change("wild", of="moods"), [[100, 100, 100]]),
        ({"hat": 0}, [[10, 0, 0]]),
        ({"dark": 0, "fair": 0, "hat": 0.5}, [[0, 0, 15]]),
        (Change("fair", values={"hat": 0}), [[0, 20, 0]]),
        (["hat", Change("calm", of="moods"), {"fair": True}], [[10, 0, 0], [100, 100, 100], [0, 20, 30]]),
    ],
)
async def test_domains_are_targets_by_name(client: Any, to: Any, wanted: list[list[int]]) -> None:
    answer = client.translate("barber", flat(0, 0, 0), to=to, labels=DARK_HAT, format="raw")
    assert await colours(answer) == wanted


async def test_the_answer_tells_its_target_and_what_was_applied(client: Any) -> None:
    first, second = await got(client.translate("barber", flat(0, 0, 0), ["fair", "hat"], labels=DARK_HAT))
    assert (first.target, second.target) == (0, 1)
    assert list(first.applied.domain[:3]) == [0, 1, 1]
    assert dict(second.applied.source_labels) == DARK_HAT
    assert first.applied.model == "models/barber"
    assert (first.warnings, first.reconstruction, first.mean_error) == ((), None, None)
    assert (first.format, first.height, first.width) == ("jpeg", 8, 8)


async def test_labels_that_are_not_told_are_measured(client: Any) -> None:
    [made] = await got(client.translate("barber", flat(150, 0, 150), "hat", format="raw"))
    # Fair, by its red, and with a hat, by its blue: what is left is the hair.
    assert made.array()[0, 0].tolist() == [150, 20, 150]
    assert dict(made.applied.source_labels) == {"dark": 0, "fair": 1, "hat": 1}


async def test_all_domains_come_in_the_cards_order(client: Any) -> None:
    made = await got(client.translate("barber", flat(0, 0, 0), all_domains=True, labels={"dark": 1}, format="png"))
    assert [one.array()[0, 0].tolist() for one in made] == [
        [10, 0, 0],
        [0, 20, 0],
        [10, 0, 30],
        [100, 100, 100],
        [100, 100, 100],
    ]


async def test_a_cycle_comes_with_its_way_back_and_the_error_of_it(client: Any) -> None:
    [made] = await got(client.translate("seasons", flat(55, 55, 55), cycle=True, format="png"))
    assert made.array()[0, 0, 0] == 200
    assert made.applied.direction == "summer2winter"
    assert np.array_equal(made.reconstruction.array(), flat(100, 100, 100))
    assert made.mean_error == 45
    assert made.reconstruction.pil().size == (8, 8)


async def test_directions_are_given_by_name_and_several_are_a_target_each(client: Any) -> None:
    options = {"format": "raw"}
    assert await colours(client.translate("seasons", flat(55, 55, 55), **options)) == [[200] * 3]
    back = client.translate("seasons", flat(55, 55, 55), direction="winter2summer", **options)
    assert await colours(back) == [[27] * 3]
    both = client.translate("seasons", flat(55, 55, 55), direction=["winter2summer", "summer2winter"], **options)
    assert await colours(both) == [[27] * 3, [200] * 3]


async def test_a_scene_is_given_as_arrays_files_or_bytes(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    path.write_bytes(png(LABELS))
    for labels in (LABELS, LABELS.astype(np.int64), path, png(LABELS)):
        for instances in (INSTANCES, INSTANCES.astype(np.uint32), png(INSTANCES)):
            [made] = await got(client.translate("town", Scene(labels, instances), fit="keep", format="raw"))
            assert made.array()[:, :, 0].tolist() == (50 * LABELS).tolist()
            assert (
                made.array()[:, :, 1].tolist() == np.select([INSTANCES == 7, INSTANCES == 1000], [0, 10], 20).tolist()
            )


async def test_instances_may_have_numbers_of_32_bits(client: Any) -> None:
    instances = np.where(INSTANCES == 1000, 2**32 - 1, INSTANCES.astype(np.int64))
    scene = Scene(LABELS, instances, [Relabel(2**32 - 1, 2)])
    [made] = await got(client.translate("town", scene, fit="keep", format="raw"))
    assert (made.array()[:, :, 0] // 50).tolist() == [[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0], [2, 2, 0, 0]]


async def test_objects_are_relabelled_removed_and_pasted_in_order(client: Any) -> None:
    mask = np.array([[True, True], [False, True]])
    car = int(INSTANCES[1, 1])
    edits = [
        Relabel(40000, 1),
        Remove(np.uint16(car)),
        Paste(mask, 2, top=-1, left=2),
        Paste(mask, 1, left=-1, instance=5),
    ]
    [made] = await got(client.translate("town", Scene(LABELS, INSTANCES, edits), fit="keep", format="raw"))
    assert (made.array()[:, :, 0] // 50).tolist() == [[1, 0, 0, 2], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert sorted(made.applied.clusters) == [5, 7, 40000]
    with pytest.raises(InvalidRequest, match="no instance 1000") as caught:
        await got(client.translate("town", Scene(LABELS, INSTANCES, [Remove(1000), Relabel(1000, 0)])))
    assert caught.value.violations[0].field == "source.scene.edits[1].relabel.instance"


async def test_looks_are_drawn_from_seeds_a_target_each(client: Any) -> None:
    scene = Scene(LABELS, INSTANCES)
    made = await got(client.translate("town", scene, style=[Style(seed=k) for k in range(8)], fit="keep", format="raw"))
    assert [one.target for one in made] == list(range(8))
    assert len({one.applied.clusters[1000] for one in made}) > 1
    for one in made:
        assert one.array()[1, 1, 2] == 100 + 50 * one.applied.clusters[1000]
    [again] = await got(client.translate("town", scene, style=Style(seed=5), fit="keep", format="raw"))
    assert again.data == made[5].data
    [default] = await got(client.translate("town", scene, fit="keep", format="raw"))
    assert default.data == made[0].data


async def test_looks_are_taken_from_an_example_or_chosen(client: Any) -> None:
    example = flat(20, 0, 0, height=4, width=4)
    example[1:3, 1:3, 0] = 200
    chosen: Any = {INSTANCES[0, 0]: 0}
    style = Style(example=example, clusters=chosen)
    [made] = await got(client.translate("town", Scene(LABELS, INSTANCES), style=style, fit="keep", format="raw"))
    assert [made.array()[at][2] for at in ((1, 1), (3, 0), (0, 0))] == [200, 20, 50]
    with pytest.raises(InvalidRequest, match=r"targets\[0\]\.style\.seed"):
        await got(client.translate("town", Scene(LABELS, INSTANCES), style=Style(seed=1, example=example)))


async def test_dropout_is_left_out_or_drawn(client: Any) -> None:
    source = flat(9, 9, 9, height=4, width=4)
    [plain] = await got(client.translate("lace", source, format="raw"))
    first, second, again = await got(client.translate("lace", source, dropout_seed=[5, 6, 5], format="raw"))
    assert np.array_equal(plain.array(), source)
    assert set(np.unique(first.array())) == {0, 9}
    assert first.data == again.data != second.data


@pytest.mark.parametrize(
    ("fit", "seen", "given_back"),
    [
        (None, (12, 8), (10, 7)),
        ("pad", (12, 8), (10, 7)),
        (Fit("nearest"), (8, 8), (10, 7)),
        ("resize", (8, 8), (8, 8)),
        (Fit("resize", height=16, width=4), (16, 4), (16, 4)),
        (Fit(width=12), (16, 12), (16, 12)),
        (Fit("keep", center_crop=4), (4, 4), (4, 4)),
        (Fit(center_crop=9), (12, 12), (9, 9)),
        ("official", (8, 8), (8, 8)),
    ],
)
async def test_a_source_is_fitted_as_asked(
    client: Any, fit: Any, seen: tuple[int, int], given_back: tuple[int, int]
) -> None:
    given = {} if fit is None else {"fit": fit}
    [made] = await got(client.translate("seasons", flat(55, 55, 55, height=10, width=7), format="raw", **given))
    assert made.array().shape == (*given_back, 3)
    assert (made.applied.height, made.applied.width) == seen


async def test_the_official_fit_crops_as_the_card_says(client: Any) -> None:
    source = flat(0, 0, 0)
    source[1:7, 1:7] = 50
    [made] = await got(
        client.translate("barber", source, {"dark": 0, "fair": 0, "hat": 0}, fit="official", format="raw")
    )
    assert np.array_equal(made.array(), flat(50, 50, 50))


async def test_tiles_are_refused_where_the_card_has_none(client: Any) -> None:
    with pytest.raises(Unsupported, match="tiles"):
        await got(client.translate("seasons", flat(1, 1, 1), fit="tile"))


async def test_a_translation_is_a_source_again(client: Any, tmp_path: Path) -> None:
    for image_format in ("raw", "png", "webp"):
        [there] = await got(client.translate("seasons", flat(55, 60, 65), format=image_format))
        assert await colours(client.translate("seasons", there, format="raw")) == [[55, 60, 65]]
    saved = there.save(tmp_path / "winter.png")
    assert await colours(client.translate("seasons", saved, format="raw")) == [[55, 60, 65]]


async def test_a_pillow_image_means_what_its_file_means(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    turned = PIL.Image.new("RGBA", (4, 8), (0, 0, 0, 0))
    turned.putpixel((0, 0), (9, 9, 9, 255))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(path, exif=exif)
    from_file = await got(client.translate("seasons", path, format="raw"))
    with PIL.Image.open(path) as opened:
        from_pillow = await got(client.translate("seasons", opened, format="raw"))
    assert from_file[0].array().shape == (4, 8, 3)
    assert from_file[0].array()[0, 7].tolist() == [246] * 3
    assert np.array_equal(from_pillow[0].array(), from_file[0].array())
    with pytest.raises(InvalidRequest, match=r"source\.image: mode I;16 holds more than 8 bits"):
        await got(client.translate("seasons", PIL.Image.fromarray(np.zeros((4, 4), np.uint16))))


@pytest.mark.parametrize(
    ("model", "options", "kind", "told"),
    [
        ("barber", {"to": "bald"}, InvalidRequest, "no domain 'bald'"),
        ("barber", {"to": Change("calm", of="weather")}, InvalidRequest, "no set 'weather'"),
        ("barber", {"to": "fair", "all_domains": True}, InvalidRequest, "not together with targets"),
        ("barber", {"to": "hat", "labels": {"bald": 1}}, InvalidRequest, r"source\.labels\[bald\]"),
        ("barber", {"to": "hat", "direction": "there"}, Unsupported, "one direction only"),
        ("seasons", {"direction": "spring"}, InvalidRequest, "none of summer2winter, winter2summer"),
        ("seasons", {"direction": "winter2summer", "cycle": True}, Unsupported, "no way back"),
        ("seasons", {"dropout_seed": 1}, Unsupported, "has no dropout_seed"),
        ("seasons", {"fit": "keep"}, InvalidRequest, "FIT_MODE_KEEP"),
        ("paint", {}, Unsupported, "models/paint"),
    ],
)
async def test_what_a_model_cannot_do_is_refused(
    client: Any, model: str, options: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        await got(client.translate(model, flat(1, 1, 1, height=6, width=6), **options))


async def test_an_image_for_a_scene_is_refused(client: Any) -> None:
    with pytest.raises(InvalidRequest, match="takes a scene"):
        await got(client.translate("town", flat(1, 1, 1)))
    with pytest.raises(InvalidRequest, match="takes an image"):
        await got(client.translate("seasons", Scene(LABELS)))


async def test_what_exceeds_a_message_is_refused_before_the_call(client: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"source: a message of .* 4194304; stream_translate sends"):
        await got(client.translate("seasons", flat(1, 1, 1, height=1200, width=1200)))


async def test_an_unknown_option_is_a_type_error(client: Any) -> None:
    with pytest.raises(TypeError, match="unexpected seed; the options are version"):
        await got(client.translate("barber", flat(1, 1, 1), "hat", seed=1))
    with pytest.raises(TypeError, match="unexpected labels"):
        await got(client.stream_translate("barber", [flat(1, 1, 1)], "hat", labels={}))
