import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export.axes import latents
from pellucid_export.axes.conditions import Given
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.generator import Generator, Images, Moves, Seeds, open_generator
from pellucid_export.axes.spaces import Region, Scatter
from pellucid_export.repository import Repository

from .toys.toy_styled import MIDDLE, SCALES, A, B

pytestmark = pytest.mark.torch

IN_W = Region(SPACE_W)
SEEDS = range(3, 9)


def images(generator: Generator, seeds: Seeds, moves: Moves | None = None) -> Images:
    return np.concatenate(list(generator.images(seeds, moves)))


def red(coordinates: list[np.ndarray]) -> np.ndarray:
    return np.clip(np.round(128 + 25 * np.stack(coordinates, axis=1)), 0, 255)


def painted(w: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Red of images of w (N, 4) whose layers were moved, by truncation 0.5 of the first layer."""
    low, high = np.array(MIDDLE) + 0.5 * (w + first - np.array(MIDDLE)), w + second
    return red([low @ A, low @ B, 5 * high[:, 2], high @ B])


def test_an_images_latent_is_its_seeds(models: Repository) -> None:
    generator = open_generator(models, "dots")
    points = generator.points(SEEDS)
    np.testing.assert_array_equal(points, latents.draw(generator.card.latent, SEEDS))
    np.testing.assert_array_equal(images(generator, SEEDS)[:, 0, :, 0], red(list(points.T)))
    moves = np.array([1.0, 0, -1, 0])
    np.testing.assert_array_equal(images(generator, SEEDS, moves)[:, 0, :, 0], red(list((points + moves).T)))
    assert (generator.size, generator.scatter) == (4, Scatter.STANDARD)


def test_stages_are_run_with_the_controls_of_a_request_that_gives_none(styled: Repository) -> None:
    generator = open_generator(styled, "styled")
    w = latents.draw(generator.card.latent, SEEDS) * SCALES + MIDDLE
    found = images(generator, SEEDS)
    assert np.abs(found[:, 0, :, 0] - painted(w, np.zeros(4), np.zeros(4))).max() <= 1
    assert (found[..., 1] == 100).all()


def test_points_in_w_are_what_the_mapping_gives(styled: Repository) -> None:
    generator = open_generator(styled, "styled", region=IN_W)
    w = latents.draw(generator.card.latent, SEEDS) * SCALES + MIDDLE
    np.testing.assert_allclose(generator.points(SEEDS), w, atol=1e-6)
    assert (generator.size, generator.scatter) == (4, Scatter.UNEVEN)
    np.testing.assert_array_equal(images(generator, SEEDS), images(open_generator(styled, "styled"), SEEDS))


def test_moves_in_w_are_truncated_after_them(styled: Repository) -> None:
    generator = open_generator(styled, "styled", region=IN_W)
    move, w = np.array([0.5, 0.2, 0.3, 0]), generator.points(SEEDS)
    found = images(generator, SEEDS, move)[:, 0, :, 0]
    assert np.abs(found - painted(w, move, move)).max() <= 1


@pytest.mark.parametrize(("layer", "still"), [(0, [2, 3]), (1, [0, 1])])
def test_layers_that_do_not_move_feed_what_they_fed(styled: Repository, layer: int, still: list[int]) -> None:
    generator = open_generator(styled, "styled", region=Region(SPACE_W, layer, layer))
    move, w = np.array([0.5, 0.2, 0.3, 0]), generator.points(SEEDS)
    before, after = images(generator, SEEDS)[:, 0, :, 0], images(generator, SEEDS, move)[:, 0, :, 0]
    np.testing.assert_array_equal(after[:, still], before[:, still])
    assert (np.delete(after, still, axis=1) != np.delete(before, still, axis=1)).any(axis=0).all()
    assert np.abs(after - painted(w, move * (layer == 0), move * (layer == 1))).max() <= 1


def test_every_image_has_a_move_of_its_own_where_they_are_given(styled: Repository) -> None:
    generator = open_generator(styled, "styled", region=IN_W)
    seeds, moves = [4] * 60, np.linspace(-1, 1, 60)[:, None] * [[0, 0, 0.3, 0]]
    found = images(generator, seeds, moves)[:, 0, 2, 0].astype(float)
    assert np.abs(found - np.clip(np.round(128 + 125 * (generator.points([4])[0, 2] + moves[:, 2])), 0, 255)).max() <= 1


def test_each_image_is_of_its_seeds_class(styled: Repository) -> None:
    drawn = images(open_generator(styled, "classes"), range(200))[:, 0, 0, 2]
    assert 70 < (drawn > 50).sum() < 130
    again = images(open_generator(styled, "classes", region=IN_W), range(100, 110))[:, 0, 0, 2]
    np.testing.assert_array_equal(again, drawn[100:110])
    assert (images(open_generator(styled, "classes", given=Given(classes="dog")), range(20))[:, 0, 0, 2] > 50).all()


def test_a_caption_goes_through_its_encoder(styled: Repository) -> None:
    generator = open_generator(styled, "captioned", given=Given(caption="The small bird's wing"))
    found = images(generator, SEEDS)
    noise = np.stack([np.random.Generator(np.random.Philox(key=[s, 1])).standard_normal(4, np.float32) for s in SEEDS])
    assert (found[..., 1] == 1 + 10 + 7 + 5).all()
    np.testing.assert_array_equal(found[:, 0, :, 2], red(list(noise.T)))
    with pytest.raises(AxesError, match="give --caption"):
        open_generator(styled, "captioned")


def test_a_mapping_that_tells_layers_apart_has_no_w(styled: Repository) -> None:
    generator = open_generator(styled, "styled", region=IN_W)
    mapping, synthesis = generator.runners
    factors = np.array([[1.0], [2.0]], np.float32)
    unlike = dataclasses.replace(
        generator, runners=(lambda given: {"style": mapping(given)["style"] * factors}, synthesis)
    )
    with pytest.raises(AxesError, match=r"the layers of a style of 'styled' differ: it has no W, only W\+"):
        unlike.points(SEEDS)


@pytest.mark.parametrize(
    ("name", "region", "message"),
    [
        ("reader", Region(), "'reader' is no generator"),
        ("dots", IN_W, "'models/dots' has SPACE_Z of 4, and no styles: there are no axes in SPACE_W"),
        ("styled", Region(SPACE_W, 0, 2), "'models/styled' has the layers 0 to 1, and not 2"),
    ],
)
def test_what_is_no_generator_or_lacks_the_space_is_refused(
    styled: Repository, name: str, region: Region, message: str
) -> None:
    with pytest.raises(AxesError, match=message):
        open_generator(styled, name, region=region)


def test_a_stage_that_needs_what_nobody_knows_is_refused(models: Repository) -> None:
    config = models.root / "dots" / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "latent"', 'name: "colour"'))
    with pytest.raises(AxesError, match="'models/dots' also needs colour, which axes have no value for"):
        open_generator(models, "dots")


def test_images_for_research_are_refused(models: Repository, tmp_path: Path) -> None:
    config = models.root / "dots" / "config.pbtxt"
    config.write_text(config.read_text().replace("TYPE_UINT8", "TYPE_FP32"))
    with pytest.raises(AxesError, match="'dots' gives no image of 8 bits"):
        open_generator(models, "dots")
