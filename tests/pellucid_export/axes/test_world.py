from pathlib import Path

import numpy as np
import pytest

from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.world import World, open_extractor, open_generator
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch

LATENTS = np.array([[0, 0, 0, 0], [1, 2, -1, 3]], np.float32)


def test_images_and_labels_are_the_models_own(world: World) -> None:
    images = world.images(LATENTS)
    assert images[..., 0].tolist() == [[[128, 128, 128, 128]], [[153, 178, 103, 203]]]
    labels = world.labels(LATENTS)
    np.testing.assert_allclose(labels[:, 0], [3, 5], atol=1e-5)
    np.testing.assert_allclose(labels[:, 1], 1 / (1 + np.exp([-1, -5.4])), atol=1e-5)
    np.testing.assert_allclose(labels[:, 2], [-(0.5**0.5), -1 + 8 * 0.5**0.5], atol=1e-5)


def test_extractors_whose_labels_are_not_wanted_do_not_run(models: Repository) -> None:
    first, second = open_extractor(models, "reader"), open_extractor(models, "reader")
    for label in second.card.labels:
        label.name = f"other_{label.name}"
    world = World(open_generator(models, "dots"), [first, second])
    labels = world.labels(LATENTS, wanted=[4])
    assert np.isnan(labels[:, :3]).all()
    np.testing.assert_array_equal(labels[:, 3:], world.labels(LATENTS)[:, 3:])


def test_a_classifier_of_other_images_is_refused(models: Repository) -> None:
    reader = open_extractor(models, "reader")
    reader.card.width = 9
    with pytest.raises(AxesError, match=r"'reader' takes images of \(height, width\) \(1, 9\), 'dots' gives \(1, 4\)"):
        World(open_generator(models, "dots"), [reader])


def test_a_generator_that_needs_more_than_a_latent_is_refused(models: Repository, tmp_path: Path) -> None:
    config = models.root / "dots" / "config.pbtxt"
    config.write_text(
        config.read_text().replace('\\"inputs\\": [\\"latent\\"]', '\\"inputs\\": [\\"latent\\", \\"label\\"]')
    )
    with pytest.raises(AxesError, match="stage 'dots' of 'dots' also needs label"):
        open_generator(models, "dots")
