"""Axes can be looked for in the generators of every family, here in the small ones that the official code made."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export import exporter
from pellucid_export.axes.conditions import Given
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.spaces import Region, Scatter
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.form import Form
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden"
CHECKPOINTS = {
    "pggan": "interfacegan_32/pggan_celebahq.pth",
    "stylegan2": "ada_cond_32/network-snapshot-mini.pkl",
    "biggan": "hf_deep_32",
    "attngan": "bird_attndcgan_mini",
}
IN_W = Region(SPACE_W)

Open = Callable[..., World]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Opens a family's generator with a classifier of its images; each is exported once."""
    models = Repository(tmp_path_factory.mktemp("families") / "models")

    def world(family: str, region: Region = Region(), given: Given = Given()) -> World:  # noqa: B008
        if family not in models.names():
            exporter.export(models, family, Form(family, ""), GOLDEN / family / CHECKPOINTS[family])
            card = models.card(family)
            size = {"height": str(card.height), "width": str(card.width)}
            exporter.export(models, f"meter_{family}", Form("measurement", "", options=size), Path("unread"))
        generator = open_generator(models, family, region=region, given=given)
        return World(generator, [open_extractor(models, f"meter_{family}")])

    return world


def moved(world: World) -> np.ndarray:
    """Changes of the labels (N, 4) by a move of one deviation along the first number."""
    seeds = range(4)
    points = world.generator.points(seeds)
    move = np.eye(1, world.generator.size)[0] * points.std()
    return np.abs(world.labels(seeds, move) - world.labels(seeds))


def test_pg_gan_moves_on_the_sphere_of_its_latents(opened: Open) -> None:
    world = opened("pggan")
    np.testing.assert_allclose(np.linalg.norm(world.generator.points(range(9)), axis=1), 24**0.5, rtol=1e-6)
    assert (world.generator.scatter, moved(world)[:, 0].min() > 1e-4) == (Scatter.EVEN, True)
    with pytest.raises(AxesError, match="there are no axes in SPACE_W"):
        opened("pggan", IN_W)


def test_stylegan_2_moves_in_w_what_its_classes_and_latents_are_mapped_to(opened: Open) -> None:
    in_w, in_z = opened("stylegan2", IN_W), opened("stylegan2")
    seeds = range(9)
    np.testing.assert_array_equal(in_w.labels(seeds), in_z.labels(seeds))
    assert len(set(in_w.generator.conditions.rows(range(60), ["label"])["label"].argmax(axis=1))) == 5
    drawn = in_w.generator.conditions.rows(seeds, ["label"])["label"].argmax(axis=1)
    one_class = opened("stylegan2", IN_W, Given(classes=str(drawn[0]))).generator.points(seeds)
    same = (one_class == in_w.generator.points(seeds)).all(axis=1)
    np.testing.assert_array_equal(same, drawn == drawn[0])
    assert (in_w.generator.scatter, moved(in_w)[:, 0].min() > 1e-4) == (Scatter.UNEVEN, True)
    coarse, fine = opened("stylegan2", Region(SPACE_W, 0, 2)), opened("stylegan2", Region(SPACE_W, 3, 7))
    assert (moved(coarse) != moved(fine)).all()


def test_biggan_moves_latents_that_its_truncation_has_scaled(opened: Open) -> None:
    world = opened("biggan")
    truncation = world.generator.card.truncation.default_value
    assert truncation < 0.9
    points = world.generator.points(range(200))
    # A normal that is cut off at +-2 has the deviation 0.8796.
    assert (np.abs(points).max() <= 2 * truncation, points.std()) == (
        True,
        pytest.approx(0.8796 * truncation, rel=0.03),
    )
    assert moved(world)[:, 0].min() > 1e-4


def test_attngan_reads_a_caption_as_the_official_code_did(opened: Open) -> None:
    world = opened("attngan", given=Given(caption="The small, red bird!"))
    official = np.load(GOLDEN / "attngan" / "bird_attndcgan_mini" / "io.npz")["tokens"][1]
    tokens = world.generator.conditions.fixed["tokens"]
    np.testing.assert_array_equal(tokens[: np.count_nonzero(official)], official[official > 0])
    assert not tokens[np.count_nonzero(official) :].any()
    assert moved(world)[:, 0].min() > 1e-4
    with pytest.raises(AxesError, match="give --caption"):
        opened("attngan")
