"""pix2pixHD's global generator: Wang et al., "High-resolution image synthesis and semantic manipulation with
conditional GANs", 2018, section 3.1 (G1), and the steps that its other networks are made of too.

Halvings, residual blocks at the lowest resolution, as many doublings. Layers bear the numbers that they have in the
files' one Sequential `model`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.norms import PerImageNorm

FIRST = "model.1.weight"
"""The convolution from the planes of a scene, by which files of this network are known."""


@dataclass(frozen=True)
class Layout:
    """The sizes of a generator up to its last features: planes before it, `width` of its first features.

    `is_affine`: norms have weights, which is what batch norms of one image are.
    """

    inputs: int
    width: int
    halvings: int
    blocks: int
    is_affine: bool

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its weights. Raises CheckpointError where they are of another kind."""
        width, inputs = kernel(state, FIRST)
        halvings = count_halvings(state, width)
        first_block = 4 + 3 * halvings
        blocks = count_blocks(state, "model", first_block)
        if not halvings or not blocks:
            raise CheckpointError(
                f"not a generator of pix2pixHD: {halvings} halvings from model.4 on and {blocks} residual blocks from"
                f" model.{first_block} on are found, there must be some of both"
            )
        return cls(inputs, width, halvings, blocks, is_affine="model.2.weight" in state)

    @property
    def last(self) -> str:
        """The convolution to an image, where there is one."""
        return f"model.{5 + 6 * self.halvings + self.blocks}.weight"


class GlobalGenerator(nn.Module):
    """Planes (N, inputs, H, W) to images (N, outputs, H, W) in [-1, 1].

    Sides are multiples of 2^halvings, two at least.
    """

    usual_size = 512, 1024

    def __init__(self, layout: Layout, outputs: int) -> None:
        super().__init__()
        self.inputs, self.outputs = layout.inputs, outputs
        self.multiple = 2**layout.halvings
        self.model = nn.Sequential(*body(layout), *to_image(layout.width, outputs))
        self._blocks = layout.blocks

    @classmethod
    def of(cls, state: State) -> "GlobalGenerator":
        """An empty network of the sizes that the weights have. Raises CheckpointError."""
        layout = Layout.of(state)
        outputs, _ = kernel(state, layout.last)
        return cls(layout, outputs)

    def __str__(self) -> str:
        return f"global generator of {self.inputs} planes and {self._blocks} residual blocks"

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Paint a batch of scenes."""
        image: torch.Tensor = self.model(planes)
        return image


class Block(nn.Module):
    """Features (N, C, H, W) and what two convolutions make of them, added up."""

    def __init__(self, channels: int, is_affine: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            *step(nn.Conv2d(channels, channels, 3), is_affine),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(channels, is_affine),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve features."""
        convolved: torch.Tensor = self.conv_block(x)
        return x + convolved


def body(layout: Layout) -> list[nn.Module]:
    """The layers of a global generator up to its last features."""
    widths = [layout.width * 2**index for index in range(layout.halvings + 1)]
    return [
        *from_planes(layout.inputs, layout.width, layout.is_affine),
        *(layer for width in widths[:-1] for layer in halving(width, layout.is_affine)),
        *(Block(widths[-1], layout.is_affine) for _ in range(layout.blocks)),
        *(layer for width in reversed(widths[1:]) for layer in doubling(width, layout.is_affine)),
    ]


def from_planes(inputs: int, width: int, is_affine: bool) -> list[nn.Module]:
    """Planes to features."""
    return [nn.ReflectionPad2d(3), *step(nn.Conv2d(inputs, width, 7), is_affine)]


def halving(width: int, is_affine: bool) -> list[nn.Module]:
    """Features to twice as many of half the size."""
    return step(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), is_affine)


def doubling(width: int, is_affine: bool) -> list[nn.Module]:
    """Features to half as many of twice the size."""
    return step(nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1), is_affine)


def to_image(width: int, outputs: int) -> list[nn.Module]:
    """Features to numbers in [-1, 1]."""
    return [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]


def step(convolution: nn.Conv2d | nn.ConvTranspose2d, is_affine: bool) -> list[nn.Module]:
    """A convolution with norm and ReLU."""
    return [convolution, _norm(convolution.out_channels, is_affine), nn.ReLU()]


def kernel(state: State, name: str) -> tuple[int, int]:
    """The first two axes of a convolution's weight. Raises CheckpointError where there is no such weight."""
    shape = tuple(state[name].shape) if name in state else None
    if shape is None or len(shape) != 4 or 0 in shape:
        raise CheckpointError(f"not a network of pix2pixHD: {name} of 4 axes is expected, found {shape or 'nothing'}")
    return shape[0], shape[1]


def count_halvings(state: State, width: int) -> int:
    """Convolutions from `model.4` on that double the width of features."""
    count = 0
    while f"model.{4 + 3 * count}.weight" in state:
        if kernel(state, f"model.{4 + 3 * count}.weight") != (2 * width, width):
            break
        count, width = count + 1, 2 * width
    return count


def count_blocks(state: State, sequence: str, first: int) -> int:
    """Residual blocks of a Sequential, from its layer `first` on."""
    count = 0
    while f"{sequence}.{first + count}.conv_block.1.weight" in state:
        count += 1
    return count


def _norm(channels: int, is_affine: bool) -> PerImageNorm:
    # NOTE: the official test keeps batch norms in training mode with batches of one image.
    return PerImageNorm(torch.ones(channels), torch.zeros(channels)) if is_affine else PerImageNorm()
