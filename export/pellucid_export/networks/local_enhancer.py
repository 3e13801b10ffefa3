"""pix2pixHD's local enhancers: Wang et al., "High-resolution image synthesis and semantic manipulation with conditional
GANs", 2018, section 3.1 (G2).

A global generator works on a scene of lower resolution; each enhancer adds its features to those of the scene at twice
that resolution, and the last one paints.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import global_generator
from pellucid_export.networks.global_generator import Block, doubling, from_planes, halving, kernel, to_image

FIRST = "model1_1.1.weight"
"""The first enhancer's convolution from planes, by which files of this network are known."""


@dataclass(frozen=True)
class Layout:
    """The sizes of a network: the global generator within, how many enhancers, and the residual blocks of each."""

    within: global_generator.Layout
    enhancers: int
    blocks: int
    outputs: int

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its weights. Raises CheckpointError where they are of another kind."""
        within = global_generator.Layout.of(state)
        enhancers = 0
        while f"model{enhancers + 1}_1.1.weight" in state:
            enhancers += 1
        blocks = global_generator.count_blocks(state, "model1_2", 0)
        outputs, width = kernel(state, f"model{enhancers}_2.{blocks + 4}.weight")
        if within.width != width * 2**enhancers:
            raise CheckpointError(
                f"not a local enhancer of pix2pixHD: the global generator's width is {within.width}, and"
                f" {enhancers} enhancers down to a width of {width} need {width * 2**enhancers}"
            )
        return cls(within, enhancers, blocks, outputs)


class LocalEnhancer(nn.Module):
    """Planes (N, inputs, H, W) to images (N, outputs, H, W) in [-1, 1].

    Sides are multiples of 2^(halvings + enhancers), two at least.
    """

    usual_size = 1024, 2048

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        within = layout.within
        self.inputs, self.outputs = within.inputs, layout.outputs
        self.multiple = 2 ** (within.halvings + layout.enhancers)
        self.model = nn.Sequential(*global_generator.body(within))
        for number in range(1, layout.enhancers + 1):
            width = within.width // 2**number
            last = to_image(width, layout.outputs) if number == layout.enhancers else []
            self.add_module(f"model{number}_1", _before(within, width))
            self.add_module(f"model{number}_2", _after(within, width, layout.blocks, last))
        self.shrink = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self._enhancers = layout.enhancers

    @classmethod
    def of(cls, state: State) -> "LocalEnhancer":
        """An empty network of the sizes that the weights have. Raises CheckpointError."""
        return cls(Layout.of(state))

    def __str__(self) -> str:
        return f"global generator of {self.inputs} planes with {self._enhancers} local enhancer(s)"

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Paint a batch of scenes."""
        pyramid = [planes]
        for _ in range(self._enhancers):
            pyramid.append(self.shrink(pyramid[-1]))
        x: torch.Tensor = self.model(pyramid.pop())
        for number in range(1, self._enhancers + 1):
            features = self.get_submodule(f"model{number}_1")(pyramid.pop())
            x = self.get_submodule(f"model{number}_2")(features + x)
        return x


def _before(within: global_generator.Layout, width: int) -> nn.Sequential:
    return nn.Sequential(*from_planes(within.inputs, width, within.is_affine), *halving(width, within.is_affine))


def _after(within: global_generator.Layout, width: int, blocks: int, last: list[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        *(Block(2 * width, within.is_affine) for _ in range(blocks)), *doubling(2 * width, within.is_affine), *last
    )
