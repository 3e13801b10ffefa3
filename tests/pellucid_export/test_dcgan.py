from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import PRIOR_NORMAL, TASK_GENERATE
from pellucid_export import runtime
from pellucid_export.errors import CheckpointError
from pellucid_export.families.dcgan import FAMILY, Options
from tests.pellucid_export.conftest import LATENT, SIZE, official_images, state_of, tutorial_dcgan

pytestmark = pytest.mark.torch


def latents(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(5).standard_normal((count, LATENT), dtype=np.float32)


def test_resolution_and_latent_size_are_told_by_the_shapes(dcgan_file: Path) -> None:
    network = FAMILY.load(dcgan_file, Options())
    card = network.card
    assert (card.task, card.height, card.width) == (TASK_GENERATE, SIZE, SIZE)
    assert (card.latent.size, card.latent.prior) == (LATENT, PRIOR_NORMAL)
    assert [(space.space, space.size, space.layers) for space in card.spaces] == [(SPACE_Z, LATENT, 1)]
    [stage] = network.stages
    assert [(t.name, t.dtype, t.shape) for t in stage.signature.inputs] == [("latent", "float32", (LATENT,))]
    assert [(t.name, t.dtype, t.shape) for t in stage.signature.outputs] == [("image", "uint8", (SIZE, SIZE, 3))]


def test_float_pixels_are_the_tutorials_output_untouched(dcgan_file: Path) -> None:
    [stage] = FAMILY.load(dcgan_file, Options(pixels="float32")).stages
    images = runtime.reference(stage)({"latent": latents(3)})["image"]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, official_images(tutorial_dcgan(0), latents(3)))


def test_uint8_pixels_are_the_nearest_levels(dcgan_file: Path) -> None:
    [stage] = FAMILY.load(dcgan_file, Options()).stages
    images = runtime.reference(stage)({"latent": latents(3)})["image"]
    expected = np.rint((official_images(tutorial_dcgan(0), latents(3)) + np.float32(1)) * np.float32(127.5))
    np.testing.assert_array_equal(images, expected.astype(np.uint8))
    assert images.min() < 100 < 150 < images.max()


def test_a_grey_generator_gives_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.pth"
    torch.save({"netG": state_of(tutorial_dcgan(1, channels=1))}, path)
    [stage] = FAMILY.load(path, Options()).stages
    images = runtime.reference(stage)({"latent": latents(2)})["image"]
    assert images.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_array_equal(images[..., 0], images[..., 2])


def test_the_digest_does_not_depend_on_the_container(tmp_path: Path, dcgan_file: Path) -> None:
    wrapped = tmp_path / "training.tar"
    torch.save({"netG_state_dict": state_of(tutorial_dcgan(0), "module.main."), "epoch": 4}, wrapped)
    digests = {FAMILY.load(path, Options()).weights_digest for path in (dcgan_file, wrapped)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"mapping.fc0.weight": torch.zeros(4, 4)}, "not a DCGAN: keys main.N.weight.*mapping.fc0.weight"),
        ({"main.0.weight": torch.zeros(6, 3, 5, 5)}, r"not a DCGAN.*main\.0\.weight \(6, 3, 5, 5\)"),
        ({"main.0.weight": torch.zeros(6, 7, 4, 4)}, "1 or 3 channels"),
        (
            {"main.0.weight": torch.zeros(6, 8, 4, 4), "main.3.weight": torch.zeros(4, 3, 4, 4)},
            r"not a DCGAN: a chain.*main\.3\.weight \(4, 3, 4, 4\)",
        ),
        (
            {"main.0.weight": torch.zeros(6, 8, 4, 4), "main.3.weight": torch.zeros(8, 3, 4, 4)},
            r"do not fit a DCGAN of 8 x 8 pixels: missing: main\.1\.weight, main\.1\.bias",
        ),
    ],
)
def test_another_network_is_refused_with_what_differs(
    tmp_path: Path, state: dict[str, torch.Tensor], message: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(path, Options())
