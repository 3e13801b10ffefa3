"""What BigGAN and BigGAN-deep are made of (Brock et al., "Large scale GAN training ...", 2019, appendix B).

Those who published weights named the parts differently, and modules keep the names of the files. So the parts are
functions of them. A norm takes features (N, C, H, W) and a condition, whatever that is in its network.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch.nn import functional

from pellucid_export.networks.layers import doubled

Condition = TypeVar("Condition")
Layer = Callable[[torch.Tensor], torch.Tensor]
Norm = Callable[[torch.Tensor, Condition], torch.Tensor]

REDUCTION = 4
"""By how much a bottleneck narrows features between its 1 x 1 convolutions."""


def normed(
    x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, epsilon: float, gain: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gain + bias as one product and one sum.

    x is (N, C, H, W); the others are (N, C), or (C,) where all samples share them.
    """
    scale = gain * torch.rsqrt(variance + epsilon)
    shift = bias - mean * scale
    return x * scale[..., None, None] + shift[..., None, None]


def residual(
    x: torch.Tensor, condition: Condition, norms: Sequence[Norm[Condition]], layers: Sequence[Layer], shortcut: Layer
) -> torch.Tensor:
    """BigGAN's block (figure 15): doubles the resolution between the first of two norms and its convolution."""
    inner = layers[0](doubled(norms[0](x, condition).relu()))
    inner = layers[1](norms[1](inner, condition).relu())
    # A 1 x 1 convolution of equal neighbours gives equal neighbours: before doubling it has a quarter of the work.
    return inner + doubled(shortcut(x))


def bottleneck(
    x: torch.Tensor,
    condition: Condition,
    norms: Sequence[Norm[Condition]],
    layers: Sequence[Layer],
    width: int,
    doubles: bool,
) -> torch.Tensor:
    """BigGAN-deep's block (figure 16): four norms, each with its convolution; the resolution doubles after the first.

    The shortcut has no weights: it keeps the first `width` channels, which is what the block gives.
    """
    inner, kept = layers[0](norms[0](x, condition).relu()), x[:, :width]
    for index in range(1, len(layers)):
        inner = norms[index](inner, condition).relu()
        if doubles and index == 1:
            inner, kept = doubled(inner), doubled(kept)
        inner = layers[index](inner)
    return inner + kept


def attended(x: torch.Tensor, query: Layer, key: Layer, value: Layer, output: Layer) -> torch.Tensor:
    """What self-attention adds to features (N, C, H, W), before its gain (Zhang et al., "SAGAN", 2019, section 3).

    Keys and values are pooled, so that a pixel attends to a quarter of the places.
    """
    queries = query(x).flatten(2).transpose(1, 2)  # (N, HW, C/8)
    keys = functional.max_pool2d(key(x), 2).flatten(2)  # (N, C/8, HW/4)
    values = functional.max_pool2d(value(x), 2).flatten(2).transpose(1, 2)  # (N, HW/4, C/2)
    places = torch.softmax(queries @ keys, dim=-1)  # (N, HW, HW/4)
    seen = (places @ values).transpose(1, 2)  # (N, C/2, HW)
    return output(torch.unflatten(seen, 2, x.shape[2:]))
