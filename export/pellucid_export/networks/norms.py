"""Norms of translators, which take their statistics from one image at a time or from training, never from a batch."""

from typing import Literal

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State

Norm = Literal["batch", "instance", "none"]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class PerImageNorm(nn.Module):
    """Normalises every channel of an image by its own mean and biased variance over height and width.

    With weight and bias (C,) it is what a batch norm in training mode does to a batch of one image.
    Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.
    """

    weight: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, eps: float = 1e-5) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise a batch (N, C, H, W), each image by itself."""
        # NOTE: functional.instance_norm looks at the size first, about which TorchScript's tracing warns.
        return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, False)


def make(norm: Norm, channels: int) -> nn.Module:
    """The layer as files lay it out: only batch norms have parameters."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return PerImageNorm() if norm == "instance" else nn.Identity()


def told_by(state: State, convolution: str, norm: str) -> Norm:
    """The kind of a network's norms, from the names of one of them and of a convolution that a norm follows.

    Batch norms have weights. Convolutions have a bias before instance norms, and none before nothing.
    """
    if f"{norm}.weight" in state:
        return "batch"
    return "instance" if f"{convolution}.bias" in state else "none"


def without_statistics(state: State) -> State:
    """A state without the statistics that instance norms tracked in old files, which nothing ever read."""
    return {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] not in _STATISTICS}


def take_image_statistics(module: nn.Module) -> None:
    """Replace all batch norms within a module by norms of the same weights that take each image's own statistics."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, PerImageNorm(child.weight.detach(), child.bias.detach(), child.eps))
