import dataclasses

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export.axes import sweep
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.spaces import Region
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch


def test_the_typical_seed_is_near_the_middle_along_every_axis(styled: Repository) -> None:
    generator = open_generator(styled, "styled", region=Region(SPACE_W))
    steps = np.diag([1.0, 0.5, 0.2, 0.1])[:2]
    chosen = sweep.typical(generator, range(300), steps)
    points = generator.points(range(300))
    in_steps = np.abs(points - points.mean(axis=0))[:, :2] / [1.0, 0.5]
    assert chosen == in_steps.max(axis=1).argmin()


def test_a_row_shows_one_image_moved_by_steps(models: Repository) -> None:
    generator = open_generator(models, "dots")
    picture = np.array(
        sweep.draw(generator, 5, np.array([[0.0, 1, 0, 0], [0.0, 0, 0, 0]]), ["up", "none"]).convert("RGB")
    )
    moved = picture[18, 92:].reshape(9, 4, 3)[..., 0].astype(int)
    assert (np.diff(moved[:, 1]) > 0).all()
    assert (moved[:, [0, 2, 3]] == moved[4, [0, 2, 3]]).all()
    assert (picture[19, 92:].reshape(9, 4, 3) == picture[18, 92:].reshape(9, 4, 3)[4]).all()


def test_large_images_are_shown_smaller(models: Repository) -> None:
    generator = open_generator(models, "dots")
    large = np.zeros((9, 512, 1024, 3), np.uint8)
    run = dataclasses.replace(generator, runners=(lambda given: {"image": large},))
    assert sweep.draw(run, 5, np.eye(2, 4), ["a", "b"]).size == (92 + 9 * 128, 18 + 2 * 64)
