"""Translate, on the models of workshop."""

import io

import grpc
import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import analysis_service_pb2, image_pb2, translation_pb2
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_gateway import latents
from tests.pellucid_gateway import workshop
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import refused

RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)


@pytest.fixture
async def shop(gateway: Gateway) -> Gateway:
    workshop.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


def flat(*colour: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3)).copy()


def image(pixels: np.ndarray) -> analysis_service_pb2.ImageInput:
    height, width, _ = pixels.shape
    return analysis_service_pb2.ImageInput(data=pixels.tobytes(), raw_height=height, raw_width=width)


def png(array: np.ndarray) -> pb.MapInput:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return pb.MapInput(data=buffer.getvalue())


def change(*names: str, of: str = "") -> pb.Target:
    return pb.Target(domain=pb.DomainTarget(set=of, change=names))


def asked(
    model: str, source: pb.TranslationSource | np.ndarray, *targets: pb.Target, **fields: object
) -> pb.TranslateRequest:
    if isinstance(source, np.ndarray):
        source = pb.TranslationSource(image=image(source))
    return pb.TranslateRequest(model=f"models/{model}", source=source, targets=targets, output=RAW, **fields)


async def translated(gateway: Gateway, request: pb.TranslateRequest) -> list[pb.TranslatedImage]:
    return list((await gateway.translation.Translate(request)).images)


def pixels(made: pb.TranslatedImage) -> np.ndarray:
    return np.frombuffer(made.data, np.uint8).reshape(made.height, made.width, 3)


def colour(made: pb.TranslatedImage) -> list[int]:
    return pixels(made)[0, 0].tolist()


def labelled(pixels_: np.ndarray, **labels: float) -> pb.TranslationSource:
    return pb.TranslationSource(image=image(pixels_), labels=labels)


async def test_an_exclusive_attribute_takes_the_others_place_and_any_other_is_flipped(shop: Gateway) -> None:
    source = labelled(flat(0, 0, 0), dark=1, fair=0, hat=1)
    made = await translated(shop, asked("barber", source, change("fair"), change("hat"), change("dark", "hat")))
    assert [colour(one) for one in made] == [[0, 20, 30], [10, 0, 0], [10, 0, 0]]
    assert [list(one.applied.domain) for one in made] == [
        [0, 1, 1, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 1, 0],
    ]
    assert dict(made[0].applied.source_labels) == {"dark": 1, "fair": 0, "hat": 1}


async def test_labels_that_are_not_told_are_measured_by_the_cards_classifier(shop: Gateway) -> None:
    made = await translated(shop, asked("barber", flat(150, 0, 150), change("hat"), change("dark")))
    # fair and a hat: without the hat, and dark with it
    assert [list(one.applied.domain[:3]) for one in made] == [[0, 1, 0], [1, 0, 1]]
    assert {batch.model for batch in shop.backend.batches} == {"barber", "judge"}


async def test_absolute_values_need_no_labels(shop: Gateway) -> None:
    target = pb.Target(domain=pb.DomainTarget(values={"dark": 1, "fair": 0, "hat": 0.5}))
    [made] = await translated(shop, asked("barber", flat(150, 0, 150), target))
    assert list(made.applied.domain[:3]) == [1, 0, 0.5]
    assert {batch.model for batch in shop.backend.batches} == {"barber"}


async def test_a_value_of_one_puts_its_rivals_out(shop: Gateway) -> None:
    source = labelled(flat(0, 0, 0), dark=1, hat=1)
    target = pb.Target(domain=pb.DomainTarget(values={"fair": 1}))
    [made] = await translated(shop, asked("barber", source, target))
    assert list(made.applied.domain[:3]) == [0, 1, 1]


async def test_a_class_of_the_second_set_comes_with_its_mask(shop: Gateway) -> None:
    [made] = await translated(shop, asked("barber", flat(1, 2, 3), change("wild", of="moods")))
    assert list(made.applied.domain) == [0, 0, 0, 0, 1, 0, 1]
    assert colour(made) == [101, 102, 103]


async def test_all_domains_come_in_the_cards_order(shop: Gateway) -> None:
    source = labelled(flat(0, 0, 0), dark=1)
    made = await translated(shop, asked("barber", source, all_domains=True))
    assert [one.target for one in made] == [0, 1, 2, 3, 4]
    assert [list(one.applied.domain) for one in made] == [
        [1, 0, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 0, 1, 0],
        [1, 0, 1, 0, 0, 1, 0],
        [0, 0, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 1],
    ]
    [*batches] = [len(batch.inputs["source"]) for batch in shop.backend.batches if batch.model == "barber"]
    assert sorted(batches) == [1, 4]


async def test_directions_are_chosen_by_name_and_lead_back(shop: Gateway) -> None:
    there = pb.Target(cycle=True)
    back = pb.Target(direction="winter2summer")
    first, second = await translated(shop, asked("seasons", flat(55, 55, 55), there, back))
    assert (colour(first), first.applied.direction) == ([200, 200, 200], "summer2winter")
    assert np.frombuffer(first.reconstruction.data, np.uint8)[0] == 100
    assert first.reconstruction.mean_error == 45
    assert (colour(second), second.applied.direction) == ([27, 27, 27], "winter2summer")
    told = await refused(
        shop.translation.Translate(asked("seasons", flat(1, 1, 1), pb.Target(direction="winter2summer", cycle=True)))
    )
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TARGET_NOT_SUPPORTED")


@pytest.mark.parametrize(
    ("fit", "seen", "given_back"),
    [
        ({}, (12, 8), (10, 7)),
        ({"mode": translation_pb2.FIT_MODE_PAD}, (12, 8), (10, 7)),
        ({"mode": translation_pb2.FIT_MODE_NEAREST}, (8, 8), (10, 7)),
        ({"mode": translation_pb2.FIT_MODE_RESIZE}, (8, 8), (8, 8)),
        ({"mode": translation_pb2.FIT_MODE_RESIZE, "height": 16, "width": 4}, (16, 4), (16, 4)),
        ({"mode": translation_pb2.FIT_MODE_RESIZE, "width": 12}, (16, 12), (16, 12)),
        ({"mode": translation_pb2.FIT_MODE_KEEP, "center_crop": 4}, (4, 4), (4, 4)),
        ({"mode": translation_pb2.FIT_MODE_PAD, "center_crop": 9}, (12, 12), (9, 9)),
        ({"official": True}, (8, 8), (8, 8)),
    ],
)
async def test_a_source_is_fitted_as_asked(
    shop: Gateway, fit: dict[str, object], seen: tuple[int, int], given_back: tuple[int, int]
) -> None:
    request = asked("seasons", flat(55, 55, 55, height=10, width=7), fit=pb.SourceFit(**fit))
    [made] = await translated(shop, request)
    assert (made.height, made.width) == given_back
    assert (made.applied.height, made.applied.width) == seen
    assert shop.backend.batches[-1].inputs["source"].shape == (1, *seen, 3)


async def test_padding_leaves_the_picture_where_it_was(shop: Gateway) -> None:
    source = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    [made] = await translated(shop, asked("seasons", source))
    assert np.array_equal(pixels(made), 255 - source)


async def test_a_picture_below_the_least_side_is_grown_to_it(shop: Gateway) -> None:
    shop.catalog.serving("models/seasons").card.translation.sizes.min_side = 10
    [made] = await translated(shop, asked("seasons", flat(55, 55, 55, height=3, width=20)))
    assert (made.height, made.width) == (3, 20)
    assert (made.applied.height, made.applied.width) == (12, 20)
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_KEEP)
    told = await refused(shop.translation.Translate(asked("seasons", flat(1, 1, 1), fit=fit)))
    assert "from 10 on" in told.message


async def test_a_network_of_grey_pictures_sees_them_grey(shop: Gateway) -> None:
    shop.catalog.serving("models/seasons").card.translation.grey = True
    [made] = await translated(shop, asked("seasons", flat(200, 100, 50)))
    assert colour(made) == [255 - 124] * 3  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50


async def test_a_centre_crop_beyond_the_picture_is_black(shop: Gateway) -> None:
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_KEEP, center_crop=8)
    [made] = await translated(shop, asked("seasons", flat(55, 55, 55, height=4, width=8), fit=fit))
    assert [row[0][0] for row in pixels(made)] == [255, 255, 200, 200, 200, 200, 255, 255]


@pytest.mark.parametrize(
    ("fit", "field"),
    [
        ({"mode": translation_pb2.FIT_MODE_KEEP}, "fit.mode"),
        ({"mode": translation_pb2.FIT_MODE_RESIZE, "height": 10, "width": 8}, "fit"),
        ({"mode": translation_pb2.FIT_MODE_RESIZE, "height": 128, "width": 128}, "fit"),
        ({"official": True, "width": 8}, "fit.official"),
    ],
)
async def test_sizes_that_the_model_does_not_permit_are_refused(
    shop: Gateway, fit: dict[str, object], field: str
) -> None:
    request = asked("seasons", flat(1, 1, 1, height=10, width=7), fit=pb.SourceFit(**fit))
    told = await refused(shop.translation.Translate(request))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_two_callers_share_a_batch_and_nothing_else(shop: Gateway) -> None:
    from asyncio import gather

    shop.backend.delay_s = 0.05
    sources = [flat(k, 2 * k, 3 * k) for k in range(6)]
    made = await gather(*(translated(shop, asked("seasons", source)) for source in sources))
    assert [colour(one[0]) for one in made] == [[255 - k, 255 - 2 * k, 255 - 3 * k] for k in range(6)]
    assert max(len(batch.inputs["source"]) for batch in shop.backend.batches) == 4


LABELS = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [2, 2, 0, 0]], np.uint8)
INSTANCES = np.array([[7, 7, 7, 7], [7, 1000, 1000, 7], [7, 1000, 1000, 7], [40000, 40000, 7, 7]], np.uint16)


def scene(*edits: pb.ObjectEdit) -> pb.TranslationSource:
    return pb.TranslationSource(scene=pb.Scene(label_map=png(LABELS), instance_map=png(INSTANCES), edits=edits))


async def town(gateway: Gateway, source: pb.TranslationSource, *targets: pb.Target) -> pb.TranslatedImage:
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_KEEP)
    return (await translated(gateway, asked("town", source, *targets, fit=fit)))[0]


async def test_a_scene_is_told_by_labels_and_instances_of_any_number(shop: Gateway) -> None:
    made = await town(shop, scene())
    assert pixels(made)[:, :, 0].tolist() == (50 * LABELS).tolist()
    rows = np.select([INSTANCES == 7, INSTANCES == 1000], [0, 1], 2)
    assert pixels(made)[:, :, 1].tolist() == (10 * rows).tolist()


async def test_the_same_seed_chooses_the_same_looks_whatever_becomes_of_others(shop: Gateway) -> None:
    looks = {}
    for number in range(12):
        target = pb.Target(style=pb.StyleTarget(seed=number))
        made = await town(shop, scene(), target)
        without = await town(shop, scene(pb.ObjectEdit(remove=pb.Remove(instance=40000))), target)
        assert made.applied.clusters[1000] == without.applied.clusters[1000]
        looks[number] = made.applied.clusters[1000]
        assert pixels(made)[1, 1, 2] == 100 + 50 * looks[number]
        assert pixels(made)[3, 0, 2] == 0  # trees have no clusters
    assert set(looks.values()) == {0, 1, 2, 3}


async def test_clusters_can_be_chosen_for_an_instance(shop: Gateway) -> None:
    made = await town(shop, scene(), pb.Target(style=pb.StyleTarget(clusters={1000: 3})))
    assert (pixels(made)[1, 1, 2], made.applied.clusters[1000]) == (250, 3)


async def test_looks_are_taken_from_an_example(shop: Gateway) -> None:
    example = flat(20, 0, 0, height=4, width=4)
    example[1:3, 1:3, 0] = 200
    made = await town(shop, scene(), pb.Target(style=pb.StyleTarget(example=image(example), clusters={7: 0})))
    assert [pixels(made)[at][2] for at in ((1, 1), (3, 0), (0, 0))] == [200, 20, 50]
    target = pb.Target(style=pb.StyleTarget(example=image(flat(1, 1, 1, height=4, width=5))))
    told = await refused(shop.translation.Translate(asked("town", scene(), target)))
    assert told.fields == ["targets[0].style.example"]


async def test_objects_are_relabelled_removed_and_pasted(shop: Gateway) -> None:
    mask = np.array([[1, 1], [0, 1]], np.uint8)
    edits = [
        pb.ObjectEdit(relabel=pb.Relabel(instance=40000, label=1)),
        pb.ObjectEdit(remove=pb.Remove(instance=1000)),
        pb.ObjectEdit(paste=pb.Paste(mask=png(mask), top=-1, left=2, label=2)),
    ]
    made = await town(shop, scene(*edits))
    assert (pixels(made)[:, :, 0] // 50).tolist() == [[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert sorted(made.applied.clusters) == [7, 40000]


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (pb.ObjectEdit(relabel=pb.Relabel(instance=5, label=1)), "source.scene.edits[0].relabel.instance"),
        (pb.ObjectEdit(relabel=pb.Relabel(instance=7, label=3)), "source.scene.edits[0].relabel.label"),
        (pb.ObjectEdit(remove=pb.Remove(instance=5)), "source.scene.edits[0].remove.instance"),
        (
            pb.ObjectEdit(paste=pb.Paste(mask=png(np.ones((5, 4), np.uint8)), label=0)),
            "source.scene.edits[0].paste.mask",
        ),
        (
            pb.ObjectEdit(paste=pb.Paste(mask=png(np.ones((1, 1), np.uint8)), label=0, instance=7)),
            "source.scene.edits[0].paste.instance",
        ),
        (
            pb.ObjectEdit(paste=pb.Paste(mask=png(np.ones((1, 1), np.uint8)), label=0, top=4)),
            "source.scene.edits[0].paste",
        ),
    ],
)
async def test_edits_that_cannot_be_made_are_refused(shop: Gateway, edit: pb.ObjectEdit, field: str) -> None:
    told = await refused(shop.translation.Translate(asked("town", scene(edit))))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_maps_that_do_not_fit_are_refused(shop: Gateway) -> None:
    wrong = {
        "source.scene.label_map": pb.Scene(label_map=png(LABELS + 1), instance_map=png(INSTANCES)),
        "source.scene.instance_map": pb.Scene(label_map=png(LABELS), instance_map=png(INSTANCES[:3])),
        "source.scene.label_map.data": pb.Scene(label_map=pb.MapInput(data=b"no"), instance_map=png(INSTANCES)),
    }
    for field, one in wrong.items():
        told = await refused(shop.translation.Translate(asked("town", pb.TranslationSource(scene=one))))
        assert told.fields == [field]
    missing = pb.TranslationSource(scene=pb.Scene(label_map=png(LABELS)))
    assert (await refused(shop.translation.Translate(asked("town", missing)))).fields == ["source.scene.instance_map"]
    coloured = pb.Scene(label_map=png(flat(1, 1, 1)), instance_map=png(INSTANCES))
    told = await refused(shop.translation.Translate(asked("town", pb.TranslationSource(scene=coloured))))
    assert "mode RGB" in told.message


async def test_dropout_is_drawn_from_its_seed_or_left_out(shop: Gateway) -> None:
    source = flat(9, 9, 9, height=4, width=4)
    kept, drawn = await translated(shop, asked("lace", source, pb.Target(), pb.Target(dropout_seed=5)))
    assert np.array_equal(pixels(kept), source)
    flags = latents.uniform(5, latents.DROPOUT_STREAM, 16).reshape(4, 4) < 0.5
    assert np.array_equal(pixels(drawn)[:, :, 0], 9 * flags)


async def test_what_a_model_has_not_is_refused_by_name(shop: Gateway) -> None:
    for model, target, field in (
        ("seasons", change("fair"), "targets[0].domain"),
        ("seasons", pb.Target(dropout_seed=1), "targets[0].dropout_seed"),
        ("barber", pb.Target(domain=pb.DomainTarget(change=["fair"]), style=pb.StyleTarget()), "targets[0].style"),
        ("barber", pb.Target(domain=pb.DomainTarget(change=["fair"]), direction="x"), "targets[0].direction"),
    ):
        told = await refused(
            shop.translation.Translate(
                asked(model, labelled(flat(1, 1, 1), **({"hat": 1} if model == "barber" else {})), target)
            )
        )
        assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TARGET_NOT_SUPPORTED")
        assert field in told.message


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (pb.Target(), "targets[0].domain"),
        (change("bald"), "targets[0].domain.change"),
        (change("calm", of="weather"), "targets[0].domain.set"),
        (change("calm", "wild", of="moods"), "targets[0].domain.change"),
        (pb.Target(domain=pb.DomainTarget()), "targets[0].domain"),
        (pb.Target(domain=pb.DomainTarget(set="moods", values={"calm": 1})), "targets[0].domain.values"),
    ],
)
async def test_targets_that_mean_nothing_are_refused(shop: Gateway, target: pb.Target, field: str) -> None:
    told = await refused(shop.translation.Translate(asked("barber", flat(1, 1, 1), target)))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_labels_of_domains_that_are_not_there_are_refused(shop: Gateway) -> None:
    told = await refused(shop.translation.Translate(asked("barber", labelled(flat(1, 1, 1), bald=1), change("hat"))))
    assert told.fields == ["source.labels[bald]"]


async def test_only_translators_translate(shop: Gateway) -> None:
    told = await refused(shop.translation.Translate(asked("paint", flat(1, 1, 1))))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_TASK")


async def test_what_may_exceed_a_message_is_refused_before_inference(shop: Gateway) -> None:
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_NEAREST)
    request = asked("lace", flat(1, 1, 1, height=256, width=256), *[pb.Target()] * 64, fit=fit)
    told = await refused(shop.translation.Translate(request))
    assert told.fields == ["targets"]
    assert not shop.backend.batches
