"""Dropout that is drawn outside of a network: flags for every number of the features that it may drop.

Flags travel through a network as an iterator, from which each dropout takes its own in the order of computation.
"""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import nn

KEEP = 0.5
"""The share that is kept."""

Kept = Iterator[torch.Tensor]
"""Factors (N, C, H, W) for the dropouts to come; nothing is dropped where there are none."""

Shape = tuple[int, int, int]


class Dropping(nn.Module):
    """A module whose forward takes the factors of the dropouts within it besides its features."""


class Dropout(Dropping):
    """A dropout's place among the layers."""

    def forward(self, x: torch.Tensor, kept: Kept) -> torch.Tensor:
        """Multiply features (N, C, H, W) with the next factors."""
        factors = next(kept, None)
        return x if factors is None else x * factors


def run(layers: nn.Sequential, x: torch.Tensor, kept: Kept) -> torch.Tensor:
    """Run layers one after the other, some of which may be Dropping."""
    for layer in layers:
        x = layer(x, kept) if isinstance(layer, Dropping) else layer(x)
    return x


def factors(flags: torch.Tensor, shapes: Sequence[Shape]) -> Kept:
    """What flags (N, total), 1 to keep and 0 to drop, make of features of these shapes (C, H, W).

    What is kept is scaled by 1 / KEEP, so that the mean stays. A row of flags that are all 1 drops nothing and scales
    nothing.
    """
    flags = flags.to(torch.float32)
    scale = 1 / KEEP - flags.amin(dim=1, keepdim=True) * (1 / KEEP - 1)  # (N, 1)
    parts = torch.split(flags * scale, [prod(shape) for shape in shapes], dim=1)
    return (part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))
