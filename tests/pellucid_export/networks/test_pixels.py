import pytest
import torch

from pellucid_export.networks.pixels import PixelOutput, image_tensor

pytestmark = pytest.mark.torch


def test_levels_are_rounded_to_nearest_and_clamped() -> None:
    values = torch.tensor([-2.0, -1.0, 0.4 / 127.5 - 1, 1.6 / 127.5 - 1, 0.0, 1.0, 7.0])
    image = values.reshape(1, 1, 1, -1)
    assert PixelOutput("uint8", channels=1)(image)[0, 0, :, 1].tolist() == [0, 0, 0, 2, 128, 255, 255]


def test_channels_come_last_in_their_order() -> None:
    image = torch.tensor([-1.0, 0.2, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 4)
    pixels = PixelOutput("uint8")(image)
    assert pixels.shape == (1, 2, 4, 3)
    assert pixels[0, 1, 3].tolist() == [0, 153, 255]


def test_the_tensor_declares_the_range_of_its_pixels() -> None:
    assert (image_tensor("uint8", 2, 4).low, image_tensor("uint8", 2, 4).high) == (0.0, 255.0)
    assert (image_tensor("float32", 2, 4).low, image_tensor("float32", 2, 4).high) == (-1.0, 1.0)
