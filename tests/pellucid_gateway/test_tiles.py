"""Tiles and mosaics, and what a source in tiles is counted to hold."""

import tracemalloc

import numpy as np
import pytest

from pellucid.v1 import analysis_service_pb2, model_pb2, translation_pb2
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_gateway import fitting
from pellucid_gateway.errors import InvalidRequest, Refused
from pellucid_gateway.sources import IMAGE_BYTES, held_bytes
from pellucid_gateway.tiles import Mosaic, Tiling

MOST_PX = 4096 * 4096
TILES = pb.SourceFit(mode=translation_pb2.FIT_MODE_TILE)


def card(size: int = 16, **fields: object) -> model_pb2.Model:
    free = {"height_multiple": 4, "width_multiple": 4, "tiles": True, "max_px": 1024}
    sizes = translation_pb2.Sizes(**(free | fields))
    return model_pb2.Model(
        name="models/soft", height=size, width=size, translation=translation_pb2.Translation(sizes=sizes)
    )


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blended(tiling: Tiling, picture: np.ndarray) -> np.ndarray:
    mosaic = Mosaic(tiling)
    for top in tiling.tops:
        mosaic.add(tiling.row(picture, top))
    return mosaic.pixels


@pytest.mark.parametrize(
    ("size", "tile", "steps", "tops"),
    [
        ((16, 16), (16, 16), (4, 4), (0,)),
        ((20, 16), (16, 16), (4, 4), (0, 4)),
        ((40, 16), (16, 16), (4, 4), (0, 12, 24)),
        ((52, 16), (16, 16), (4, 4), (0, 12, 24, 36)),
        ((36, 16), (16, 16), (4, 4), (0, 8, 20)),
        ((24, 16), (8, 16), (8, 16), (0, 8, 16)),
        ((25, 16), (10, 16), (1, 1), (0, 5, 10, 15)),
    ],
)
def test_tiles_begin_at_multiples_and_share_a_quarter_where_multiples_allow_it(
    size: tuple[int, int], tile: tuple[int, int], steps: tuple[int, int], tops: tuple[int, ...]
) -> None:
    tiling = Tiling(size, tile, steps)
    assert tiling.tops == tops
    assert tiling.lefts == (0,)


@pytest.mark.parametrize("size", [(16, 16), (16, 64), (20, 36), (100, 48), (148, 152)])
@pytest.mark.parametrize(("tile", "step"), [(16, 4), (8, 8), (4, 4), (12, 4), (16, 1)])
def test_tiles_of_a_picture_blend_to_the_picture(size: tuple[int, int], tile: int, step: int) -> None:
    height, width = (-(-side // step) * step for side in size)
    picture = noise(height, width)
    assert np.array_equal(blended(Tiling((height, width), (tile, tile), (step, step)), picture), picture)


def test_tiles_fade_into_each_other_and_count_for_nothing_at_their_borders() -> None:
    mosaic = Mosaic(Tiling((16, 24), (16, 16), (4, 4)))
    mosaic.add([np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 160, np.uint8)])
    # 8 columns are shared: 2 of the left tile, 4 that fade, 2 of the right one.
    assert mosaic.pixels[0, :, 0].tolist() == [*[0] * 10, 20, 60, 100, 140, *[160] * 10]
    down = Mosaic(Tiling((24, 16), (16, 16), (4, 4)))
    down.add([np.zeros((16, 16, 3), np.uint8)])
    down.add([np.full((16, 16, 3), 160, np.uint8)])
    assert down.pixels[:, 5, 1].tolist() == [*[0] * 10, 20, 60, 100, 140, *[160] * 10]


def test_a_mosaic_holds_the_sums_of_one_row_of_tiles() -> None:
    tiling = Tiling((4096, 512), (64, 64), (4, 4))
    picture = np.zeros((4096, 512, 3), np.uint8)
    tracemalloc.start()
    try:
        pixels = blended(tiling, picture)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Sums of the whole picture would be four times its pixels.
    assert peak < pixels.nbytes + tiling.row_bytes


def test_a_source_is_continued_to_multiples_and_to_one_tile_at_least() -> None:
    for source, whole in (((10, 7), (16, 16)), ((17, 33), (20, 36)), ((16, 16), (16, 16)), ((64, 3), (64, 16))):
        fitted = fitting.plan(source, TILES, card(), MOST_PX)
        picture = noise(*source)
        seen = fitted.apply(picture)
        assert (seen.shape[:2], fitted.size) == (whole, (16, 16))
        assert np.array_equal(fitted.restore(seen), picture)
    # A card of one size has no multiples.
    fixed = card(fixed=True, height_multiple=0, width_multiple=0)
    assert fitting.plan((17, 33), TILES, fixed, MOST_PX).whole == (17, 33)


def test_a_card_without_tiles_is_named_with_the_reason() -> None:
    with pytest.raises(Refused, match=r"models/soft .* translation\.sizes\.tiles.* depends on the whole image") as told:
        fitting.plan((64, 64), TILES, card(tiles=False), MOST_PX)
    assert told.value.reason == "TILES_NOT_SUPPORTED"


def test_the_gateways_own_limit_holds_for_tiles_and_crops_too() -> None:
    for size, fit, field in (
        ((64, 64), TILES, "fit"),
        ((8, 8), pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, center_crop=64), "fit.center_crop"),
    ):
        assert fitting.plan(size, fit, card(), 64 * 64)
        with pytest.raises(InvalidRequest, match="the limit is 4095 pixels") as told:
            fitting.plan(size, fit, card(), 64 * 64 - 1)
        assert told.value.violations[0].field == field


def source(height: int, width: int) -> pb.TranslationSource:
    image = analysis_service_pb2.ImageInput(data=b"sent", raw_height=height, raw_width=width)
    return pb.TranslationSource(image=image)


def test_tiles_on_their_way_and_their_sums_are_counted_for_each_target() -> None:
    tiling = Tiling((40, 64), (16, 16), (4, 4))
    assert (tiling.tops, tiling.lefts) == ((0, 12, 24), (0, 12, 24, 36, 48))
    assert tiling.row_bytes == 5 * 16 * 16 * 8 + 16 * (2 * 64 + 16) * 12
    upright = held_bytes(source(40, 64), TILES, card(), "source", 3, MOST_PX)
    px = 40 * 64
    assert upright == 4 + IMAGE_BYTES * px + 3 * (9 * px + tiling.row_bytes)
    # Nobody knows yet which way up it is.
    assert held_bytes(source(64, 40), TILES, card(), "source", 3, MOST_PX) == upright


def test_a_source_is_counted_at_the_size_that_it_is_brought_to() -> None:
    grown = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, height=32, width=32)
    assert held_bytes(source(4, 4), grown, card(), "source", 1, MOST_PX) == 4 + 21 * 32 * 32
    cut = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, center_crop=512)
    assert held_bytes(source(4, 4), cut, card(), "source", 1, MOST_PX) == 4 + 21 * 512 * 512
