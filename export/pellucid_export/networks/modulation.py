"""Convolutions whose weights a style modulates: the blocks of StyleGAN 2.

Karras et al., "Analyzing and improving the image quality of StyleGAN", 2020, section 2.2. Scaling a layer's weights for
every sample (paper, equation 1) is scaling its input, and demodulating them (equation 3) is scaling its output. So the
weights are shared, and samples do not depend on their batch.

Modules are filled with the weights as stylegan2-ada-pytorch stores them, under its names, and then `prepared` once.
"""

from math import sqrt

import torch
from torch import nn
from torch.nn import functional

from pellucid_export.networks.layers import Dense, leaky

_EPSILON = 1e-8
_FILTER = (1.0, 3.0, 3.0, 1.0)


class Modulated(nn.Module):
    """A 3 x 3 convolution (N, before, r, r) to (N, after, size, size), noise, bias, leaky ReLU times sqrt(2), clamp.

    `doubles` upsamples first; `clamp` is 0 for none. The factor sqrt(2) is part of all that is added or multiplied
    before the activation, which lets it pass.
    """

    noise_const: torch.Tensor
    energy: torch.Tensor
    blur: torch.Tensor

    def __init__(self, before: int, after: int, width: int, size: int, doubles: bool, clamp: float) -> None:
        super().__init__()
        self.affine = Dense(width, before)
        self.weight = nn.Parameter(torch.zeros(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.zeros(size, size))
        self.register_buffer("energy", torch.zeros(before, after), persistent=False)
        self.register_buffer("blur", upsampling_filter().repeat(after, 1, 1, 1), persistent=False)
        self._doubles = doubles
        self._clamp = clamp

    def prepare(self) -> None:
        """Turn what is stored into what is in use."""
        weight = self.weight.detach()
        self.energy = weight.square().sum(dim=(2, 3)).T.contiguous() / 2
        self.bias = _constant(self.bias * sqrt(2))
        self.noise_strength = _constant(self.noise_strength * sqrt(2))
        if self._doubles:
            self.weight = _constant(weight.transpose(0, 1).contiguous())

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Features, the layer's w (N, width) and its noise (N, 1, size, size)."""
        style = self.affine(w)  # (N, before)
        demodulation = torch.rsqrt(style.square() @ self.energy + _EPSILON / 2)  # (N, after)
        x = self._convolved(x * _spread(style)) * _spread(demodulation)
        x = leaky(x + noise * self.noise_strength + self.bias[:, None, None])
        return clamped(x, self._clamp)

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        if not self._doubles:
            return functional.conv2d(x, self.weight, padding=1)
        # NOTE: one transposed convolution with the filter folded in (6 x 6, or four 3 x 3 at the lower resolution)
        # takes 1.4 to 2.9 times as long in ONNX Runtime.
        x = functional.conv_transpose2d(x, self.weight, stride=2)  # (N, after, 2 r + 1, 2 r + 1)
        return functional.conv2d(x, self.blur, padding=1, groups=self.blur.shape[0])


class ToColours(nn.Module):
    """Features (N, before, r, r) to colours: modulated, without demodulation or noise."""

    def __init__(self, before: int, colours: int, width: int, clamp: float) -> None:
        super().__init__()
        self.affine = Dense(width, before, multiplier=1 / sqrt(before))
        self.weight = nn.Parameter(torch.zeros(colours, before, 1, 1))
        self.bias = nn.Parameter(torch.zeros(colours))
        self._clamp = clamp

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Features and the layer's w (N, width)."""
        x = functional.conv2d(x * _spread(self.affine(w)), self.weight, self.bias)
        return clamped(x, self._clamp)


class Block(nn.Module):
    """One resolution: features and image of the resolution below to those of `size`.

    The first block has no `before`; it starts from a learned constant.
    """

    upsampling: torch.Tensor

    def __init__(self, before: int | None, after: int, colours: int, width: int, size: int, clamp: float) -> None:
        super().__init__()
        if before is None:
            self.const = nn.Parameter(torch.zeros(after, size, size))
        else:
            self.conv0 = Modulated(before, after, width, size, doubles=True, clamp=clamp)
        self.conv1 = Modulated(after, after, width, size, doubles=False, clamp=clamp)
        self.torgb = ToColours(after, colours, width, clamp)
        self.register_buffer("upsampling", upsampling_filter().repeat(colours, 1, 1, 1), persistent=False)

    def convolutions(self) -> list[Modulated]:
        """The layers with noise, in the order of their w."""
        return [layer for layer in self.children() if isinstance(layer, Modulated)]

    def forward(
        self,
        x: torch.Tensor | None,
        image: torch.Tensor | None,
        styles: list[torch.Tensor],
        noise: list[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`styles` are the w of the convolutions and of `torgb`, `noise` the maps of the convolutions."""
        x = self.const[None] if x is None else x
        for layer, w, noise_map in zip(self.convolutions(), styles, noise, strict=False):
            x = layer(x, w, noise_map)
        colours: torch.Tensor = self.torgb(x, styles[-1])
        if image is None:
            return x, colours
        below = functional.conv_transpose2d(
            image, self.upsampling, stride=2, padding=1, groups=self.upsampling.shape[0]
        )
        return x, below + colours


def upsampling_filter() -> torch.Tensor:
    """The low-pass filter (1, 1, 4, 4) with which everything is doubled; its sum is 4, for 4 pixels from each."""
    line = torch.tensor(_FILTER)
    kernel = torch.outer(line, line)
    return (kernel / kernel.sum() * 4)[None, None]


def clamped(x: torch.Tensor, bound: float) -> torch.Tensor:
    """Values within the bound, 0 for none."""
    return x.clamp(-bound, bound) if bound else x


def _spread(factors: torch.Tensor) -> torch.Tensor:
    return factors[:, :, None, None]


def _constant(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach(), requires_grad=False)
