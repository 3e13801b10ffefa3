"""The second stage of a style-based generator, with the controls that the gateway gives."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import nn

from pellucid_export.networks.layers import Truncation, noise_maps
from pellucid_export.networks.pixels import PixelOutput


class _Synthesis(Protocol):
    def trained_noise(self) -> list[torch.Tensor]: ...

    def __call__(self, style: torch.Tensor, noise: Sequence[torch.Tensor]) -> torch.Tensor: ...


class SynthesisStage(nn.Module):
    """Styles (N, L, W), truncation and noise, each a sample, to images (N, height, W, 3).

    `synthesis` turns truncated styles and a noise map (N, 1, r, r) a layer into images (N, C, H, W), and gives its
    `trained_noise`, a map (1, 1, r, r) a layer. Rows of images beyond `height` are cut off, as many at the top as at
    the bottom.
    """

    def __init__(self, truncation: Truncation, synthesis: nn.Module, height: int, output: PixelOutput) -> None:
        super().__init__()
        self.truncation = truncation
        self.synthesis = synthesis
        self.output = output
        self._height = height

    def forward(
        self,
        style: torch.Tensor,
        truncation: torch.Tensor,
        truncation_cutoff: torch.Tensor,
        noise_strength: torch.Tensor,
        noise: torch.Tensor | None = None,
        noise_seeded: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Generate a batch of images; `noise` and `noise_seeded` where the stage is exported with seeded noise."""
        synthesis = cast(_Synthesis, self.synthesis)
        maps = noise_maps(synthesis.trained_noise(), noise_strength, noise, noise_seeded)
        image = synthesis(self.truncation(style, truncation, truncation_cutoff), maps)
        top = (image.shape[2] - self._height) // 2
        pixels: torch.Tensor = self.output(image[:, :, top : top + self._height])
        return pixels
