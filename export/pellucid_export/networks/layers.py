"""Blocks that the generators of pg-GAN and the StyleGANs have in common.

Weights that were trained with an equalised learning rate ("Progressive growing of GANs", 2018, section 4.1) are stored
near unit variance and scaled in every call. Here a module is filled with them as they are stored and then `prepared`
once, after which it is a plain convolution or product.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import nn
from torch.nn import functional

LEAKY_SLOPE = 0.2


class Convolution(nn.Module):
    """A convolution of stride 1 with weight (out, in, k, k) and bias; `doubles` upsamples first.

    Upsampling (nearest neighbours) and 3 x 3 convolution become one transposed convolution of kernel 4 and stride 2,
    which does the same with 16 products a number instead of 36. `padding` is what keeps the size unless it is given.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int = 3,
        gain: float = sqrt(2),
        padding: int | None = None,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.doubles = doubles
        self._gain = gain
        self._padding = kernel // 2 if padding is None else padding

    def prepare(self) -> None:
        """Turn the weight as it is stored into the one in use."""
        weight = equalised(self.weight.detach(), self._gain)
        self.weight = nn.Parameter(_doubling(weight) if self.doubles else weight, requires_grad=False)

    def convolved(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The convolution with another bias, or none."""
        if self.doubles:
            return functional.conv_transpose2d(x, self.weight, bias, stride=2, padding=1)
        return functional.conv2d(x, self.weight, bias, padding=self._padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve a batch (N, in, H, W)."""
        return self.convolved(x, self.bias)


class Dense(nn.Module):
    """A product with weight (out, in) and a bias; the multiplier of its learning rate counts for both."""

    def __init__(self, before: int, after: int, gain: float = 1.0, multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self._gain = gain
        self._multiplier = multiplier

    def prepare(self) -> None:
        """Turn weight and bias as they are stored into those in use."""
        weight = equalised(self.weight.detach(), self._gain, self._multiplier)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(self.bias.detach() * self._multiplier, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply a batch (N, in)."""
        return functional.linear(x, self.weight, self.bias)


class PixelNorm(nn.Module):
    """Scales every pixel's vector (axis 1) to a mean square of 1; also latents (N, D).

    Karras et al., "Progressive growing of GANs", 2018, section 4.2.
    """

    def __init__(self, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale a batch."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + self.epsilon)


class Truncation(nn.Module):
    """Pulls the styles of a generator's first layers towards the average W, every sample by its own amount.

    Karras et al., "A style-based generator architecture", 2019, appendix B. `w_avg` (D,) is part of the weights.
    """

    w_avg: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(width))

    def forward(self, style: torch.Tensor, truncation: torch.Tensor, cutoff: torch.Tensor) -> torch.Tensor:
        """W+ (N, L, D), truncation (N, 1) and cut-off (N, 1) to W+; layers from the cut-off on keep every bit."""
        layers = torch.arange(style.shape[1], device=style.device)
        is_truncated = (layers < cutoff)[:, :, None]  # (N, L, 1)
        truncated = self.w_avg + truncation[:, :, None] * (style - self.w_avg)
        return torch.where(is_truncated, truncated, style)


def prepare(module: nn.Module) -> None:
    """Turn all weights of a module as they are stored into those in use."""
    for part in module.modules():
        if isinstance(part, Convolution | Dense):
            part.prepare()


def equalised(weight: torch.Tensor, gain: float = sqrt(2), multiplier: float = 1.0) -> torch.Tensor:
    """The weight (out, in, ...) in use where `weight` is stored: times gain * multiplier / sqrt(fan-in).

    Biases only get the multiplier.
    """
    return weight * (gain * multiplier / sqrt(weight[0].numel()))


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU of slope 0.2."""
    return functional.leaky_relu(x, LEAKY_SLOPE)


def doubled(image: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) twice as large, nearest neighbours."""
    return functional.interpolate(image, scale_factor=2.0, mode="nearest")


def noise_maps(
    baked: Sequence[torch.Tensor],
    strength: torch.Tensor,
    noise: torch.Tensor | None = None,
    seeded: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """The noise (N, 1, r, r) of every layer, from its trained map (1, 1, r, r) and the seam's inputs.

    `strength` (N, 1) scales it. `noise` (N, total) holds the maps of all layers, each row by row; it takes the
    place of the trained ones where `seeded` (N, 1) is 1, and leaves them where it is 0.
    """
    maps = list(baked)
    if noise is not None and seeded is not None:
        share = seeded[:, :, None, None]
        given = torch.split(noise, [layer.numel() for layer in baked], dim=1)
        maps = [
            layer * (1 - share) + part.reshape(-1, *layer.shape[1:]) * share
            for layer, part in zip(baked, given, strict=True)
        ]
    return [layer * strength[:, :, None, None] for layer in maps]


def _doubling(weight: torch.Tensor) -> torch.Tensor:
    """The kernel (in, out, 4, 4) of the transposed convolution that doubles and convolves with (out, in, 3, 3)."""
    kernel = weight.flip(2, 3).transpose(0, 1)
    return sum((functional.pad(kernel, (x, 1 - x, y, 1 - y)) for x in (0, 1) for y in (0, 1)), torch.zeros(()))
