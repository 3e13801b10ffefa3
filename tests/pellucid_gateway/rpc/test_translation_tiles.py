"""Translate in tiles, over a fake backend whose network sees one pixel around each."""

import json
from collections.abc import Mapping
from itertools import product

import grpc
import numpy as np
import pytest
from google.protobuf import json_format

from pellucid.v1 import translation_pb2
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_gateway.backends.base import ModelConfig, Tensor, TensorSpec
from tests.pellucid_gateway import workshop
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.painting import WEIGHTS
from tests.pellucid_gateway.rpc import test_translation as asking
from tests.pellucid_gateway.rpc.asking import refused

TILE = 16
TILES = pb.SourceFit(mode=translation_pb2.FIT_MODE_TILE)
PADDED = pb.SourceFit(mode=translation_pb2.FIT_MODE_PAD)


def soften(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean of each pixel and its eight neighbours, which beyond a border are 0."""
    source = np.asarray(inputs["source"], np.int64)
    height, width = source.shape[1:3]
    ringed = np.pad(source, [(0, 0), (1, 1), (1, 1), (0, 0)])
    total = sum(ringed[:, y : y + height, x : x + width] for y, x in product(range(3), range(3)))
    return {"image": (np.asarray(total) // 9).astype(np.uint8)}


@pytest.fixture
async def studio(gateway: Gateway) -> Gateway:
    """A gateway with `models/soft`, of two ways alike; its card permits tiles, and 48 x 48 pixels in one piece."""
    card = workshop.card(
        "soft",
        size=TILE,
        translation=translation_pb2.Translation(
            sizes=workshop.sizes(tiles=True, max_px=48 * 48),
            directions=[
                translation_pb2.Direction(name="there", stage="there", back="back"),
                translation_pb2.Direction(name="back", stage="back", back="there"),
            ],
        ),
        stages=[workshop.stage("back", "soft.back", ["source"]), workshop.stage("there", "soft", ["source"])],
    )
    spec = TensorSpec("uint8", (-1, -1, 3))
    for model, parameters in (("soft.back", {}), ("soft", {"pellucid.card": json_format.MessageToJson(card)})):
        gateway.backend.models[model] = (ModelConfig({"source": spec}, {"image": spec}, 4, parameters), soften)
        (gateway.repository / model / "1").mkdir(parents=True)
        (gateway.repository / model / "config.pbtxt").touch()
    version = gateway.repository / "soft" / "1" / "version.json"
    version.write_text(json.dumps({"name": "1", "weightsDigest": WEIGHTS}))
    workshop.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole(picture: np.ndarray) -> np.ndarray:
    """What the network makes of a picture in one piece, continued as pictures in tiles are."""
    height, width = picture.shape[:2]
    below, right = (max(TILE, -(-side // 4) * 4) - side for side in (height, width))
    padded = np.pad(picture, [(0, below), (0, right), (0, 0)], mode="symmetric")
    return np.asarray(soften({"source": padded[None]})["image"][0, :height, :width])


@pytest.mark.parametrize("size", [(16, 16), (64, 96), (37, 61), (5, 7), (1, 1), (16, 130), (50, 9)])
async def test_a_picture_in_tiles_is_as_the_picture_in_one_piece(studio: Gateway, size: tuple[int, int]) -> None:
    picture = noise(*size)
    [made] = await asking.translated(studio, asking.asked("soft", picture, fit=TILES))
    assert np.array_equal(asking.pixels(made), whole(picture))
    assert (made.applied.height, made.applied.width) == (TILE, TILE)


async def test_tiles_take_what_is_too_large_for_one_piece(studio: Gateway) -> None:
    picture = noise(52, 52)
    told = await refused(studio.translation.Translate(asking.asked("soft", picture, fit=PADDED)))
    assert told.fields == ["fit"]
    [made] = await asking.translated(studio, asking.asked("soft", picture, fit=TILES))
    assert np.array_equal(asking.pixels(made), whole(picture))


async def test_targets_and_the_way_back_are_in_tiles_too(studio: Gateway) -> None:
    picture = noise(40, 61)
    targets = [pb.Target(cycle=True), pb.Target(direction="back")]
    there, back = await asking.translated(studio, asking.asked("soft", picture, *targets, fit=TILES))
    once = whole(picture)
    assert np.array_equal(asking.pixels(there), once)
    assert np.array_equal(asking.pixels(back), once)
    # The way back sees the translation with what continues it; a pixel's ring is all that this one looks at.
    returned = np.frombuffer(there.reconstruction.data, np.uint8).reshape(40, 61, 3)
    assert np.array_equal(returned[:, :60], whole(once)[:, :60])
    shapes = {(batch.model, batch.inputs["source"].shape[1:]) for batch in studio.backend.batches}
    assert shapes == {("soft", (TILE, TILE, 3)), ("soft.back", (TILE, TILE, 3))}


async def test_a_row_of_tiles_goes_in_full_batches(studio: Gateway) -> None:
    await asking.translated(studio, asking.asked("soft", noise(16, 124), fit=TILES))
    assert sorted(len(batch.inputs["source"]) for batch in studio.backend.batches) == [2, 4, 4]


async def test_a_crop_comes_before_the_tiles(studio: Gateway) -> None:
    picture = noise(70, 90)
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_TILE, center_crop=60)
    [made] = await asking.translated(studio, asking.asked("soft", picture, fit=fit))
    assert np.array_equal(asking.pixels(made), whole(picture[5:65, 15:75]))


async def test_a_scene_in_tiles_keeps_its_instances_and_their_looks(studio: Gateway) -> None:
    studio.catalog.serving("models/town").card.translation.sizes.tiles = True
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (21, 30)).astype(np.uint8)
    instances = rng.integers(500, 504, (21, 30)).astype(np.uint16)
    scene = pb.TranslationSource(scene=pb.Scene(label_map=asking.png(labels), instance_map=asking.png(instances)))
    looks = pb.Target(style=pb.StyleTarget(seed=4))
    keep = pb.SourceFit(mode=translation_pb2.FIT_MODE_KEEP)
    [tiled] = await asking.translated(studio, asking.asked("town", scene, looks, fit=TILES))
    [piece] = await asking.translated(studio, asking.asked("town", scene, looks, fit=keep))
    assert tiled.data == piece.data
    assert dict(tiled.applied.clusters) == dict(piece.applied.clusters)
    model_shapes = [batch.inputs["label_map"].shape[1:] for batch in studio.backend.batches if batch.model == "town"]
    assert set(model_shapes) == {(8, 8), (21, 30)}


async def test_an_example_in_tiles_is_refused_by_name(studio: Gateway) -> None:
    studio.catalog.serving("models/town").card.translation.sizes.tiles = True
    scene = pb.Scene(label_map=asking.png(asking.LABELS), instance_map=asking.png(asking.INSTANCES))
    example = pb.StyleTarget(example=asking.image(noise(4, 4)))
    request = asking.asked("town", pb.TranslationSource(scene=scene), pb.Target(style=example), fit=TILES)
    told = await refused(studio.translation.Translate(request))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["targets[0].style.example"])
    assert "FIT_MODE_TILE" in told.message


async def test_an_example_cannot_come_in_parts(studio: Gateway) -> None:
    scene = pb.Scene(label_map=asking.png(asking.LABELS), instance_map=asking.png(asking.INSTANCES))
    example = asking.image(noise(4, 4))
    example.data_size = 10_000
    target = pb.Target(style=pb.StyleTarget(example=example))
    told = await refused(studio.translation.Translate(asking.asked("town", pb.TranslationSource(scene=scene), target)))
    assert told.fields == ["targets[0].style.example.data_size"]


async def test_a_model_whose_card_has_no_tiles_refuses_them(studio: Gateway) -> None:
    told = await refused(studio.translation.Translate(asking.asked("seasons", noise(20, 20), fit=TILES)))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TILES_NOT_SUPPORTED")
    assert "translation.sizes.tiles" in told.message
    assert studio.admission.bytes.used == 0
