import pytest
import torch
from torch.nn import functional

from pellucid_export.networks import layers
from pellucid_export.networks.layers import Convolution, Dense, PixelNorm, Truncation

pytestmark = pytest.mark.torch


def test_pixel_norm_gives_every_pixel_a_mean_square_of_one() -> None:
    x = torch.tensor([[3.0, 4.0], [0.03, 0.04]])
    expected = torch.tensor([3.0, 4.0]) / 12.5**0.5
    torch.testing.assert_close(PixelNorm()(x), expected.expand(2, 2), rtol=1e-4, atol=0)
    image = PixelNorm()(torch.randn(2, 5, 3, 3))
    torch.testing.assert_close(image.square().mean(1), torch.ones(2, 3, 3))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_an_upsampling_convolution_is_one_after_nearest_neighbours(size: int) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(3, 2, 3, 3), torch.randn(3), torch.randn(2, 2, size, size)
    layer = Convolution(2, 3, doubles=True)
    layer.load_state_dict({"weight": weight, "bias": bias})
    layers.prepare(layer)
    expected = functional.conv2d(layers.doubled(x), weight * (2 / 18) ** 0.5, bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_weights_are_scaled_by_their_fan_in_and_biases_are_not() -> None:
    layer = Convolution(2, 1, kernel=1, gain=1.0)
    layer.load_state_dict({"weight": torch.ones(1, 2, 1, 1), "bias": torch.ones(1)})
    layers.prepare(layer)
    torch.testing.assert_close(layer(torch.ones(1, 2, 1, 1)), torch.full((1, 1, 1, 1), 2 / 2**0.5 + 1))


def test_a_learning_rate_multiplier_scales_weight_and_bias() -> None:
    layer = Dense(4, 1, gain=3.0, multiplier=0.01)
    layer.load_state_dict({"weight": torch.full((1, 4), 100.0), "bias": torch.tensor([100.0])})
    layers.prepare(layer)
    torch.testing.assert_close(layer(torch.ones(1, 4)), torch.tensor([[4 * 3 / 2 + 1.0]]))


def test_layers_below_the_cutoff_are_truncated_and_others_keep_every_bit() -> None:
    truncation = Truncation(1)
    truncation.load_state_dict({"w_avg": torch.tensor([10.0])})
    style = torch.tensor([[[12.0], [0.1], [0.1]], [[12.0], [14.0], [16.0]], [[12.0], [14.0], [16.0]]])
    amounts, cutoffs = torch.tensor([[0.5], [-1.0], [2.0]]), torch.tensor([[1], [2], [3]])
    found = truncation(style, amounts, cutoffs)
    assert found[..., 0].tolist() == [[11.0, style[0, 1].item(), style[0, 2].item()], [8, 6, 16], [14, 18, 22]]


def test_trained_noise_is_scaled_by_every_samples_strength() -> None:
    baked = [torch.tensor([[[[2.0]]]]), torch.ones(1, 1, 2, 2)]
    first, second = layers.noise_maps(baked, torch.tensor([[0.0], [0.5]]))
    assert first.flatten().tolist() == [0.0, 1.0]
    assert second.shape == (2, 1, 2, 2)
    assert second[1].flatten().tolist() == [0.5] * 4


def test_a_samples_own_noise_is_cut_into_layers_row_by_row() -> None:
    baked = [torch.tensor([[[[9.0]]]]), torch.full((1, 1, 2, 2), 9.0)]
    noise = torch.tensor([[1.0, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    first, second = layers.noise_maps(baked, torch.tensor([[1.0], [2.0]]), noise, torch.tensor([[0.0], [1.0]]))
    assert first.flatten().tolist() == [9.0, 2.0]
    assert second[:, 0].tolist() == [[[9.0, 9.0], [9.0, 9.0]], [[4.0, 6.0], [8.0, 10.0]]]
