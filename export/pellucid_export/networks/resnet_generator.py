"""The residual generator of CycleGAN: Zhu et al., "Unpaired image-to-image translation", 2017, section 4.

Its body is Johnson et al.'s, "Perceptual losses for real-time style transfer", 2016: two halvings, residual blocks at
a quarter of the size, two doublings. Layers bear the numbers that they have in the files' one Sequential.
"""

import re
from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import norms
from pellucid_export.networks.dropout import Dropout, Dropping, Kept, Shape, run
from pellucid_export.networks.norms import Norm

FIRST = "model.1"
"""The convolution from colours, by which files of this network are known."""

_FIRST_BLOCK = 10
_AFTER_BLOCKS = 7
# A block's second convolution where a dropout comes before it; without one, a norm of one axis, if any.
_SECOND_AFTER_DROPOUT = f"model.{_FIRST_BLOCK}.conv_block.6.weight"


@dataclass(frozen=True)
class Layout:
    """The sizes of a network: channels of its images, `width` of its first features (ngf), residual blocks."""

    inputs: int
    outputs: int
    width: int
    blocks: int
    norm: Norm
    has_dropout: bool

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its weights. Raises CheckpointError where they are of another kind."""
        blocks = _blocks(state)
        width, inputs = _kernels(state, f"{FIRST}.weight")
        outputs, _ = _kernels(state, f"model.{_FIRST_BLOCK + blocks + _AFTER_BLOCKS}.weight")
        return cls(
            inputs=inputs,
            outputs=outputs,
            width=width,
            blocks=blocks,
            norm=norms.told_by(state, FIRST, "model.2"),
            has_dropout=_SECOND_AFTER_DROPOUT in state and state[_SECOND_AFTER_DROPOUT].ndim == 4,
        )


class Block(Dropping):
    """Features and what two convolutions make of them, added up."""

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        is_biased = layout.norm == "instance"
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=is_biased),
            norms.make(layout.norm, channels),
            nn.ReLU(),
            *([Dropout()] if layout.has_dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=is_biased),
            norms.make(layout.norm, channels),
        )

    def forward(self, x: torch.Tensor, kept: Kept) -> torch.Tensor:
        """Convolve features (N, C, H, W)."""
        return x + run(self.conv_block, x, kept)


class ResnetGenerator(nn.Module):
    """Images (N, inputs, H, W) to images (N, outputs, H, W), both in [-1, 1]; sides are multiples of 4 from 8 on."""

    multiple = 4
    smallest = 8
    usual_size = 256
    is_fixed = False

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self._widest = 4 * layout.width
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *self._step(nn.Conv2d(layout.inputs, layout.width, 7, bias=self._is_biased)),
            *self._halving(layout.width),
            *self._halving(2 * layout.width),
            *(Block(self._widest, layout) for _ in range(layout.blocks)),
            *self._doubling(4 * layout.width),
            *self._doubling(2 * layout.width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(layout.width, layout.outputs, 7),
            nn.Tanh(),
        )

    def __str__(self) -> str:
        return f"ResNet generator of {self.layout.blocks} blocks"

    def dropped(self, size: int) -> list[Shape]:
        """Shapes (C, H, W) of the features that dropouts see in images of `size`, in the order of computation."""
        side = size // self.multiple
        return [(self._widest, side, side)] * self.layout.blocks if self.layout.has_dropout else []

    def forward(self, image: torch.Tensor, kept: Kept | None = None) -> torch.Tensor:
        """Translate a batch of images."""
        return run(self.model, image, iter(()) if kept is None else kept)

    @property
    def _is_biased(self) -> bool:
        return self.layout.norm == "instance"

    def _step(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
        return [convolution, norms.make(self.layout.norm, convolution.out_channels), nn.ReLU()]

    def _halving(self, width: int) -> list[nn.Module]:
        return self._step(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=self._is_biased))

    def _doubling(self, width: int) -> list[nn.Module]:
        return self._step(
            nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1, bias=self._is_biased)
        )


def _blocks(state: State) -> int:
    pattern = re.compile(r"model\.(\d+)\.conv_block\.1\.weight")
    found = sorted(int(match[1]) for name in state if (match := pattern.fullmatch(name)))
    if not found or found != list(range(_FIRST_BLOCK, _FIRST_BLOCK + len(found))):
        raise CheckpointError(
            f"not a ResNet generator: residual blocks from model.{_FIRST_BLOCK} on are expected, found "
            + (", ".join(f"model.{index}" for index in found) or "none")
        )
    return len(found)


def _kernels(state: State, name: str) -> tuple[int, int]:
    """Channels after and before a convolution of kernel 7."""
    shape = tuple(state[name].shape) if name in state else None
    if shape is None or len(shape) != 4 or 0 in shape:
        raise CheckpointError(f"not a ResNet generator: {name} of 4 axes is expected, found {shape or 'nothing'}")
    return shape[0], shape[1]
