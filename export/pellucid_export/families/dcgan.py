"""DCGAN: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional GANs", 2016.

The layout is that of PyTorch's DCGAN tutorial: one Sequential `main` of transposed convolutions (kernel 4) at the
indices 0, 3, 6, ..., each but the last followed by batch norm and ReLU; the first makes 4 x 4 from 1 x 1, every
further one doubles; tanh at the end.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import PRIOR_NORMAL, TASK_GENERATE, LatentPrior, LatentSpace, Model
from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor
from pellucid_export.networks.pixels import PixelOutput, Pixels, image_tensor

_KERNEL = 4


@dataclass(frozen=True)
class Options:
    """What can be chosen at export."""

    pixels: Pixels = "uint8"


class Generator(nn.Module):
    """Latents (N, latent) to images (N, H, W, 3); `channels` lists the width before, between and after the layers."""

    def __init__(self, channels: list[int], biased: bool, pixels: Pixels) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(channels)):
            stride, padding = (1, 0) if index == 0 else (2, 1)
            layers.append(nn.ConvTranspose2d(before, after, _KERNEL, stride, padding, bias=biased))
            if index < len(channels) - 2:
                layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Tanh())
        self.output = PixelOutput(pixels, channels[-1])

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Generate a batch of images."""
        image: torch.Tensor = self.output(self.main(latent[:, :, None, None]))  # (N, H, W, 3)
        return image


def load(path: Path, options: Options) -> Network:
    """Read a generator whose depth, widths, latent size and resolution are told by the shapes of its weights."""
    state = checkpoints.load_state(path)
    channels = _channels(state)
    size = _KERNEL * 2 ** (len(channels) - 2)
    generator = Generator(channels, "main.0.bias" in state, options.pixels)
    checkpoints.load_strictly(generator, state, f"a DCGAN of {size} x {size} pixels")
    signature = Signature(
        inputs=(Tensor("latent", "float32", (channels[0],)),), outputs=(image_tensor(options.pixels, size, size),)
    )
    return Network(
        stages=(Stage("synthesis", generator.eval(), signature),),
        card=_card(channels[0], size),
        weights_digest=checkpoints.digest(state),
    )


def _channels(state: checkpoints.State) -> list[int]:
    """Widths from the shapes (in, out, 4, 4) of the transposed convolutions. Raises CheckpointError."""
    kernels = {
        int(found[1]): tuple(tensor.shape)
        for name, tensor in state.items()
        if (found := re.fullmatch(r"main\.(\d+)\.weight", name)) and tensor.ndim == 4
    }
    if not kernels:
        raise CheckpointError(f"not a DCGAN: keys main.N.weight are expected, found {', '.join(sorted(state)[:5])}")
    shapes = [kernels[index] for index in sorted(kernels)]
    chained = all(before[1] == after[0] for before, after in pairwise(shapes))
    if not chained or {shape[2:] for shape in shapes} != {(_KERNEL, _KERNEL)} or shapes[-1][1] not in (1, 3):
        raise CheckpointError(
            "not a DCGAN: a chain of (in, out, 4, 4) kernels that ends in 1 or 3 channels is expected, found "
            + ", ".join(f"main.{index}.weight {kernels[index]}" for index in sorted(kernels))
        )
    return [shapes[0][0], *(shape[1] for shape in shapes)]


def _card(latent: int, size: int) -> Model:
    return Model(
        task=TASK_GENERATE,
        height=size,
        width=size,
        latent=LatentPrior(size=latent, prior=PRIOR_NORMAL),
        spaces=[LatentSpace(space=SPACE_Z, size=latent, layers=1)],
    )


FAMILY = Family(
    name="dcgan",
    description="DCGAN (Radford et al. 2016) as PyTorch's tutorial lays it out",
    containers=("state dict, bare or in a training checkpoint (.pth, .pt, .tar)", "safetensors"),
    options=Options,
    load=load,
)
