"""Generators of somebody else's, small enough to be computed by hand, and their files."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pellucid_export import runtime
from pellucid_export.families import custom
from pellucid_export.families.custom import Options
from pellucid_export.samples import Array

SIZE = 4
COLOURS = np.array([[0.5, 0, 0], [0, 0.25, 0], [0, 0, -0.5]], np.float32)
"""What a class adds to (R, G, B)."""

LATENTS = np.array([[0, 0], [0.25, 0], [0, -0.5], [0.1, 0.21]], np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)


class Painter(nn.Module):
    """Paints (N, 3, 4, 4) with z[0] + z[1] and the colour of its classes; the right half is darker by 0.125."""

    shade: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Linear(3, 3, bias=False)
        self.colour.weight.data = torch.from_numpy(COLOURS.T.copy())
        self.register_buffer("shade", torch.tensor([0, 0, -0.125, -0.125]))

    def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        colour = z.sum(1, keepdim=True) + self.colour(y)
        image = colour.view(z.size(0), 3, 1, 1).expand(-1, -1, 4, 4)
        return image + self.shade


class IndexPainter(nn.Module):
    """A Painter that takes the number of its class."""

    def __init__(self) -> None:
        super().__init__()
        self.one_hot = nn.Embedding(3, 3)
        self.one_hot.weight.data = torch.eye(3)
        self.painter = Painter()

    def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.painter(z, self.one_hot(y))


def painted(latent: Array, label: Array) -> Array:
    """What a Painter paints, (N, H, W, 3) in its own range."""
    colour = latent.sum(1, keepdims=True) + label @ COLOURS
    image = np.repeat(np.repeat(colour[:, None, None], SIZE, axis=1), SIZE, axis=2)
    image[:, :, 2:] -= 0.125
    return image


def levels(image: Array) -> Array:
    """8-bit levels of values in [-1, 1]."""
    return np.clip(np.round((image.astype(np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)


def save(path: Path, module: nn.Module, *examples: torch.Tensor) -> Path:
    """Write TorchScript: traced with examples, scripted without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is old
        module.eval()
        script = torch.jit.trace(module, examples) if examples else torch.jit.script(module)  # type: ignore[no-untyped-call]
        script.save(path)
    return path


def save_painter(folder: Path, card: str, name: str = "mine") -> Path:
    """A traced Painter with a card beside it."""
    (folder / f"{name}.yaml").write_text(card)
    return save(folder / f"{name}.pt", Painter(), torch.zeros(2, 2), torch.zeros(2, 3))


def generate(path: Path, options: Options | None = None, **inputs: Array) -> Array:
    """The images of the network as the family reads it."""
    [stage] = custom.load(path, options or Options()).stages
    return runtime.reference(stage)(inputs)["image"]
