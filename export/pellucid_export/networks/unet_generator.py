"""The U-Net of pix2pix: Isola et al., "Image-to-image translation with conditional adversarial networks", 2017.

Every level halves the image, has the next one work on it, doubles what comes back and lays it behind its own input.
Levels are nested, and their layers numbered, as in the files.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import norms
from pellucid_export.networks.dropout import Dropout, Dropping, Kept, Shape, run
from pellucid_export.networks.norms import Norm

FIRST = "model.model.0"
"""The convolution from colours, by which files of this network are known."""

_LEAST_DEPTH = 5
# Levels whose features are no wider than the next one's; dropouts begin behind them.
_WIDENING = 4
_SLOPE = 0.2


@dataclass(frozen=True)
class Layout:
    """The sizes of a network: channels of its images, `width` of its first features (ngf), halvings."""

    inputs: int
    outputs: int
    width: int
    depth: int
    norm: Norm

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its weights. Raises CheckpointError where they are of another kind."""
        width, inputs = _kernels(state, f"{FIRST}.weight")
        _, outputs = _kernels(state, "model.model.3.weight")
        norm = norms.told_by(state, FIRST, "model.model.1.model.2")
        return cls(inputs, outputs, width, _depth(state), norm)

    def channels(self, level: int) -> int:
        """Width of the features that a level works on, the outermost being 0."""
        return self.width << min(level, _WIDENING - 1)


class Level(Dropping):
    """Features, and behind them what lower levels make of them; only the outermost gives the latter alone."""

    def __init__(self, layout: Layout, level: int) -> None:
        super().__init__()
        self.is_outermost = level == 0
        if self.is_outermost:
            layers = _outermost(layout)
        elif level == layout.depth - 1:
            layers = _innermost(layout)
        else:
            layers = _middle(layout, level)
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor, kept: Kept) -> torch.Tensor:
        """Convolve features (N, C, H, W) to (N, 2C, H, W), or images to images."""
        below = run(self.model, x, kept)
        return below if self.is_outermost else torch.cat([x, below], dim=1)


class UnetGenerator(nn.Module):
    """Images (N, inputs, H, W) to images (N, outputs, H, W), both in [-1, 1]; sides are multiples of 2^depth."""

    is_fixed = True

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.multiple = self.smallest = self.usual_size = 2**layout.depth
        self.model = Level(layout, 0)

    def __str__(self) -> str:
        return f"U-Net of {self.layout.depth} levels"

    def dropped(self, size: int) -> list[Shape]:
        """Shapes (C, H, W) of the features that dropouts see in images of `size`, in the order of computation."""
        levels = range(self.layout.depth - 2, _WIDENING - 1, -1)
        return [(self.layout.channels(level - 1), size >> level, size >> level) for level in levels]

    def forward(self, image: torch.Tensor, kept: Kept | None = None) -> torch.Tensor:
        """Translate a batch of images."""
        translated: torch.Tensor = self.model(image, iter(()) if kept is None else kept)
        return translated


def _outermost(layout: Layout) -> list[nn.Module]:
    return [
        nn.Conv2d(layout.inputs, layout.width, 4, 2, 1, bias=_is_biased(layout)),
        Level(layout, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * layout.width, layout.outputs, 4, 2, 1),
        nn.Tanh(),
    ]


def _middle(layout: Layout, level: int) -> list[nn.Module]:
    outer, inner = layout.channels(level - 1), layout.channels(level)
    return [
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(outer, inner, 4, 2, 1, bias=_is_biased(layout)),
        norms.make(layout.norm, inner),
        Level(layout, level + 1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=_is_biased(layout)),
        norms.make(layout.norm, outer),
        *([Dropout()] if level >= _WIDENING else []),
    ]


def _innermost(layout: Layout) -> list[nn.Module]:
    # Behind the halving there is no norm: it may have left one pixel.
    width = layout.channels(layout.depth - 1)
    return [
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(width, width, 4, 2, 1, bias=_is_biased(layout)),
        nn.ReLU(),
        nn.ConvTranspose2d(width, width, 4, 2, 1, bias=_is_biased(layout)),
        norms.make(layout.norm, width),
    ]


def _is_biased(layout: Layout) -> bool:
    return layout.norm == "instance"


def _depth(state: State) -> int:
    """Levels from the outermost to the innermost, each named within the one before."""
    depth, level = 1, "model.model.1"
    while f"{level}.model.1.weight" in state:
        depth, level = depth + 1, f"{level}.model.3"
    if depth < _LEAST_DEPTH:
        raise CheckpointError(f"not a U-Net: at least {_LEAST_DEPTH} nested levels are expected, found {depth}")
    return depth


def _kernels(state: State, name: str) -> tuple[int, int]:
    """The first two axes of a convolution's weight."""
    shape = tuple(state[name].shape) if name in state else None
    if shape is None or len(shape) != 4 or 0 in shape:
        raise CheckpointError(f"not a U-Net: {name} of 4 axes is expected, found {shape or 'nothing'}")
    return shape[0], shape[1]
