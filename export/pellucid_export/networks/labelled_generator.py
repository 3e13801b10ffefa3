"""StarGAN's generator: Choi et al., "StarGAN: unified generative adversarial networks for multi-domain image-to-image
translation", 2018, appendix, table 4.

An image with one plane a label behind its colours: two halvings, residual blocks at a quarter of the size, two
doublings. Borders are zeros throughout. That matters: norms take constant planes away again, and labels are told where
the border breaks them. Layers bear the numbers that they have in the files' one Sequential `main`.
"""

import re
from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.norms import PerImageNorm

MULTIPLE = 4
"""Heights and widths are multiples of this."""

COLOURS = 3

_FIRST = "main.0.weight"
_FIRST_BLOCK = 9
_AFTER_BLOCKS = 6
_BLOCK = re.compile(r"main\.(\d+)\.main\.0\.weight")


@dataclass(frozen=True)
class Layout:
    """The sizes of a network: labels, `width` of its first features, residual blocks."""

    labels: int
    width: int
    blocks: int

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its weights. Raises CheckpointError where they are of another kind."""
        shape = tuple(state[_FIRST].shape) if _FIRST in state else None
        if shape is None or len(shape) != 4 or shape[0] == 0 or shape[2:] != (7, 7):
            raise CheckpointError(
                f"not a StarGAN generator: {_FIRST} of shape (width, 3 + labels, 7, 7) is expected, found"
                f" {shape or ', '.join(sorted(state)[:5])}{_hint(state)}"
            )
        if shape[1] <= COLOURS:
            raise CheckpointError(f"not a StarGAN generator: {_FIRST} takes {shape[1]} channels, labels come after 3")
        return cls(labels=shape[1] - COLOURS, width=shape[0], blocks=_blocks(state))


class LabelledGenerator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] and labels (N, L) to images in [-1, 1]; sides are multiples of 4."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        width = layout.width
        self.main = nn.Sequential(
            *_step(nn.Conv2d(COLOURS + layout.labels, width, 7, padding=3, bias=False)),
            *_step(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)),
            *_step(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False)),
            *(_Block(4 * width) for _ in range(layout.blocks)),
            *_step(nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False)),
            *_step(nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)),
            nn.Conv2d(width, COLOURS, 7, padding=3, bias=False),
            nn.Tanh(),
        )

    def forward(self, image: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Translate a batch of images, each to labels of its own."""
        planes = labels[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
        translated: torch.Tensor = self.main(torch.cat([image, planes], dim=1))
        return translated


class _Block(nn.Module):
    """Features (N, C, H, W) and what two convolutions make of them, added up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_step(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve features."""
        convolved: torch.Tensor = self.main(x)
        return x + convolved


def _step(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, _norm(convolution.out_channels), nn.ReLU()


def _norm(channels: int) -> PerImageNorm:
    # NOTE: the official layers also track statistics of training, but its test normalises with the image's own.
    return PerImageNorm(torch.ones(channels), torch.zeros(channels))


def _blocks(state: State) -> int:
    found = sorted(int(match[1]) for name in state if (match := _BLOCK.fullmatch(name)))
    last = f"main.{_FIRST_BLOCK + len(found) + _AFTER_BLOCKS}.weight"
    if found != list(range(_FIRST_BLOCK, _FIRST_BLOCK + len(found))) or last not in state:
        raise CheckpointError(
            f"not a StarGAN generator: residual blocks from main.{_FIRST_BLOCK} on and {last} are expected, found"
            f" blocks {', '.join(f'main.{index}' for index in found) or 'none'}"
        )
    return len(found)


def _hint(state: State) -> str:
    return "; this is a discriminator, the file <iteration>-G.ckpt is needed" if "conv1.weight" in state else ""
