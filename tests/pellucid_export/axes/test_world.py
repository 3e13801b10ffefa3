import dataclasses

import numpy as np
import pytest

from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.repository import Repository

from .arithmetic import SIZE

pytestmark = pytest.mark.torch

SEEDS = range(60)
MOVE = np.array([0.5, 0, 0, -1])


def coordinates(world: World, move: np.ndarray | float = 0.0) -> np.ndarray:
    return (np.round(128 + 25 * (world.generator.points(SEEDS) + move)) - 128) / 25


@pytest.mark.parametrize("move", [None, MOVE])
def test_labels_are_those_of_the_images_of_seeds(world: World, move: np.ndarray | None) -> None:
    tilted, opened, _, other = coordinates(world, 0.0 if move is None else move).T
    labels = world.labels(SEEDS, move)
    assert labels.shape == (60, 3)
    np.testing.assert_allclose(labels[:, 0], 3 + 2 * tilted, atol=1e-5)
    np.testing.assert_allclose(labels[:, 1], 1 / (1 + np.exp(-1 - 1.2 * tilted - 1.6 * opened)), atol=1e-5)
    bent = coordinates(world, 0.0 if move is None else move)[:, 2] + (other**2 - 1) / 2**0.5
    np.testing.assert_allclose(labels[:, 2], bent, atol=1e-4)


def test_extractors_whose_labels_are_not_wanted_do_not_run(models: Repository) -> None:
    ran: list[str] = []
    extractors = []
    for name in ("first", "second"):
        one = open_extractor(models, "reader")
        for label in one.card.labels:
            label.name = f"{name}_{label.name}"
        extractors.append(
            dataclasses.replace(one, runner=lambda given, n=name, run=one.runner: ran.append(n) or run(given))
        )
    world = World(open_generator(models, "dots"), extractors)
    labels = world.labels(SEEDS, wanted=[5, 3])
    assert set(ran) == {"second"}
    np.testing.assert_array_equal(labels, world.labels(SEEDS)[:, [5, 3]])


def test_a_classifier_of_other_images_is_refused(models: Repository) -> None:
    reader = open_extractor(models, "reader")
    reader.card.width = 9
    message = rf"'reader' takes images of \(height, width\) \(1, 9\), 'dots' gives \(1, {SIZE}\)"
    with pytest.raises(AxesError, match=message):
        World(open_generator(models, "dots"), [reader])
