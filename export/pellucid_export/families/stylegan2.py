"""StyleGAN 2: Karras et al., "Analyzing and improving the image quality of StyleGAN", 2020; with adaptive augmentation
and classes: "Training generative adversarial networks with limited data", 2020.

The paper's W+ is `style`. Tensors have the names of stylegan2-ada-pytorch.
"""

from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import cast

import torch
from torch import nn

from pellucid_export.containers import checkpoints, stylegan2_layout
from pellucid_export.containers.stylegan2_layout import Plan
from pellucid_export.errors import FamilyError
from pellucid_export.family import Family, Network, Stage
from pellucid_export.networks import layers
from pellucid_export.networks.layers import Dense, PixelNorm, Truncation, leaky
from pellucid_export.networks.modulation import Block, Modulated
from pellucid_export.networks.pixels import PixelOutput, Pixels
from pellucid_export.networks.style_based import Noise, StyleBased, image_height
from pellucid_export.networks.synthesis_stage import SynthesisStage

_MAPPING_MULTIPLIER = 0.01


@dataclass(frozen=True)
class Options:
    """What can be chosen at export, and what a state dict leaves open.

    `noise`: "seeded" adds inputs for a request's own noise.
    `height`: rows of the image, the same number being cut off at the top and at the bottom; 0 leaves it square.
    `conv_clamp`: of files other than snapshots, the bound of all layers' values, 0 for none. stylegan2-ada-pytorch
    trains with 256 unless told --fp32; finished generators hardly ever reach it.
    """

    pixels: Pixels = "uint8"
    noise: Noise = "baked"
    height: int = 0
    conv_clamp: float = 0.0


class Mapping(nn.Module):
    """Latents (N, Z), and labels (N, C) where there are classes, to W repeated over all layers (N, L, W)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.norm = PixelNorm()
        if plan.classes:
            self.embed = Dense(plan.classes, plan.embedding)
        sizes = [plan.latent + plan.embedding, *[plan.hidden] * (plan.depth - 1), plan.width]
        for index in range(plan.depth):
            self.add_module(f"fc{index}", Dense(sizes[index], sizes[index + 1], multiplier=_MAPPING_MULTIPLIER))
        self._depth = plan.depth
        self._layers = plan.layers

    def forward(self, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """Map a batch."""
        x: torch.Tensor = self.norm(latent)
        if label is not None:
            x = torch.cat([x, self.norm(self.embed(label))], dim=1)
        for index in range(self._depth):
            x = leaky(self.get_submodule(f"fc{index}")(x)) * sqrt(2)
        return x[:, None].repeat(1, self._layers, 1)


class Synthesis(nn.Module):
    """W+ (N, L, W) that is truncated already, and the noise of every convolution, to images (N, C, H, W)."""

    def __init__(self, plan: Plan, clamp: float) -> None:
        super().__init__()
        before: int | None = None
        for index, after in enumerate(plan.widths):
            size = 4 << index
            self.add_module(f"b{size}", Block(before, after, plan.colours, plan.width, size, clamp))
            before = after

    def blocks(self) -> list[Block]:
        """From 4 x 4 on."""
        return cast(list[Block], list(self.children()))

    def convolutions(self) -> list[Modulated]:
        """The layers with noise."""
        return [layer for block in self.blocks() for layer in block.convolutions()]

    def trained_noise(self) -> list[torch.Tensor]:
        """The trained map (1, 1, r, r) of every convolution."""
        return [layer.noise_const[None, None] for layer in self.convolutions()]

    def forward(self, style: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
        """Synthesise a batch."""
        x = image = None
        styles, first = style.unbind(1), 0
        for block in self.blocks():
            last = first + len(block.convolutions())
            x, image = block(x, image, styles[first : last + 1], noise[first:last])
            first = last
        return cast(torch.Tensor, image)


class Generator(nn.Module):
    """The networks under the names of a checkpoint; filled with one and then `prepared` once."""

    def __init__(self, plan: Plan, clamp: float) -> None:
        super().__init__()
        self.mapping = Mapping(plan)
        self.truncation = Truncation(plan.width)
        self.synthesis = Synthesis(plan, clamp)

    def prepare(self) -> None:
        """Turn all weights as they are stored into those in use."""
        layers.prepare(self)
        for layer in self.synthesis.convolutions():
            layer.prepare()


def load(path: Path, options: Options) -> Network:
    """Read a generator whose sizes are told by the shapes of its weights."""
    if not 0 <= options.conv_clamp < inf:
        raise FamilyError(f"conv_clamp is {options.conv_clamp:g}; 0 (none) or a finite bound above it is possible")
    checkpoint = stylegan2_layout.read(path, options.conv_clamp)
    plan = stylegan2_layout.plan(checkpoint.state)
    generator = Generator(plan, checkpoint.clamp)
    checkpoints.load_strictly(generator, checkpoint.state, f"a StyleGAN 2 of {plan.size} x {plan.size} pixels")
    generator.prepare()
    declared = _declared(plan, generator.synthesis, options)
    synthesis = SynthesisStage(
        generator.truncation, generator.synthesis, declared.image_height, PixelOutput(options.pixels, plan.colours)
    )
    return Network(
        stages=(
            Stage("mapping", generator.mapping.eval(), declared.mapping()),
            Stage("synthesis", synthesis.eval(), declared.synthesis()),
        ),
        card=declared.card(),
        weights_digest=checkpoint.digest(),
    )


def _declared(plan: Plan, synthesis: Synthesis, options: Options) -> StyleBased:
    return StyleBased(
        latent=plan.latent,
        width=plan.width,
        layers=plan.layers,
        classes=plan.classes,
        image_height=image_height(options.height, plan.size),
        image_width=plan.size,
        noise_size=sum(layer.numel() for layer in synthesis.trained_noise()),
        noise=options.noise,
        pixels=options.pixels,
        truncation=1.0,
        cutoff=plan.layers,
    )


FAMILY = Family(
    name="stylegan2",
    description="StyleGAN 2 (Karras et al. 2020), also with adaptive augmentation and classes",
    containers=(
        "snapshot of stylegan2-ada-pytorch (.pkl), its averaged generator G_ema",
        "state dict of its generator (.pt, .pth, .safetensors)",
        "genforce checkpoint (.pth), its averaged generator_smooth",
    ),
    options=Options,
    load=load,
)
