import pytest
import torch
from torch import nn

from pellucid_export.networks import norms
from pellucid_export.networks.norms import PerImageNorm

pytestmark = pytest.mark.torch


def trained(channels: int) -> nn.BatchNorm2d:
    torch.manual_seed(channels)
    norm = nn.BatchNorm2d(channels)
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    return norm


def test_each_image_is_normalised_as_a_training_batch_norm_does_a_batch_of_one() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), trained(4), nn.Sequential(nn.ReLU(), trained(4)))
    images = torch.randn(3, 3, 9, 7) * torch.tensor([1.0, 10.0, 0.01])[:, None, None, None]
    with torch.no_grad():
        expected = torch.cat([layers.train()(images[row : row + 1]) for row in range(3)])
        norms.take_image_statistics(layers)
        found = layers.eval()(images)
    assert not [part for part in layers.modules() if isinstance(part, nn.BatchNorm2d)]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_flat_image_is_normalised_to_its_bias() -> None:
    bias = torch.tensor([0.5, -2.0])
    flat = torch.full((1, 2, 4, 4), 7.0)
    found = PerImageNorm(torch.ones(2), bias)(flat)
    torch.testing.assert_close(found, bias[None, :, None, None].expand(1, 2, 4, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("names", "expected"), [(["n.weight", "n.bias"], "batch"), (["c.bias", "n.running_mean"], "instance"), ([], "none")]
)
def test_the_kind_of_norm_shows_in_the_names(names: list[str], expected: str) -> None:
    assert norms.told_by({name: torch.zeros(1) for name in ["c.weight", *names]}, "c", "n") == expected
