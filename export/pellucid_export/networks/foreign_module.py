"""Somebody else's torch network, and what stands around it so that the gateway can speak to it.

latent, label, ... (N, ...) -> rows in the network's own shapes; classes as an index where it takes one
  -> the network -> the output that is asked for -> images (N, H, W, 3), or labels (N, K)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from pellucid_export.card_file import CardFile
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.convention import Argument, Feed
from pellucid_export.networks.pixels import PixelOutput, Pixels
from pellucid_export.samples import Array, Arrays

_LEVELS = 255


class Rows(nn.Module):
    """Turns a tensor (N, ...) into rows (N, *shape), or the weights of classes into the heaviest one's number."""

    def __init__(self, shape: Sequence[int], is_index: bool) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.is_index = is_index

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        """Convert a batch."""
        if self.is_index:
            tensor = tensor.argmax(1)
        return tensor.reshape(-1, *self.shape)


class Seen(nn.Module):
    """Turns images (N, H, W, 3) uint8 into what a classifier sees, float32 in the card's range and layout."""

    def __init__(self, card: CardFile) -> None:
        super().__init__()
        self.card = card

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Convert a batch."""
        values = image.float() * ((self.card.high - self.card.low) / _LEVELS) + self.card.low
        return values if self.card.is_channels_last else values.permute(0, 3, 1, 2)


class Chosen(nn.Module):
    """Takes one of a network's outputs: by number, by name from a dictionary, or the only one."""

    def __init__(self, output: str | int | None) -> None:
        super().__init__()
        self.output = output

    def forward(self, answer: object) -> torch.Tensor:
        """Take it. Raises CheckpointError where it is not there, or there are several and none is asked for."""
        outputs = _outputs(answer)
        if self.output is None and len(outputs) == 1:
            return next(iter(outputs.values()))
        if self.output not in outputs:
            listed = ", ".join(map(str, outputs)) or type(answer).__name__
            raise CheckpointError(f"output must be one of {listed}, which the network gives; it is {self.output!r}")
        return outputs[self.output]


class Written(nn.Module):
    """Turns a network's images, in the card's range and layout, into the gateway's (N, H, W, 3)."""

    def __init__(self, card: CardFile, channels: int, pixels: Pixels) -> None:
        super().__init__()
        self.card = card
        self.output = PixelOutput(pixels, channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Convert a batch."""
        values = image.float()
        if self.card.is_channels_last:
            values = values.permute(0, 3, 1, 2)  # (N, C, H, W)
        if not self.card.is_usual_range:
            values = (values - self.card.low) * (2 / (self.card.high - self.card.low)) - 1
        written: torch.Tensor = self.output(values)
        return written


class Labelled(nn.Module):
    """Turns scores (N, ...) into labels (N, K)."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Convert a batch."""
        scores = scores.float().flatten(1)
        if self.activation == "softmax":
            return scores.softmax(1)
        return scores.sigmoid() if self.activation == "sigmoid" else scores


@dataclass(frozen=True)
class ForeignModule:
    """A torch network in eval mode, its arguments, and the digest of what decides its output."""

    network: nn.Module
    arguments: tuple[Argument, ...]
    digest: str

    def run(self, card: CardFile, feeds: Sequence[Feed], values: Arrays) -> Array:
        """The chosen output, as the network gives it."""
        module = self._surrounded(card, feeds, nn.Identity())
        with torch.inference_mode():
            output: Array = module(*(torch.from_numpy(values[feed.tensor.name]) for feed in feeds)).numpy()
        return output

    def generator(self, card: CardFile, feeds: Sequence[Feed], channels: int, pixels: Pixels) -> nn.Module:
        """The network as a stage that gives `image`."""
        return self._surrounded(card, feeds, Written(card, channels, pixels))

    def classifier(self, card: CardFile, feeds: Sequence[Feed]) -> nn.Module:
        """The network as a stage that gives `labels`."""
        return self._surrounded(card, feeds, Labelled(card.activation))

    def _surrounded(self, card: CardFile, feeds: Sequence[Feed], end: nn.Module) -> nn.Module:
        """A module whose forward takes the gateway's tensors by name, in the order of the feeds."""
        graph = fx.Graph()
        parts: dict[str, nn.Module] = {"network": self.network, "chosen": Chosen(card.output), "end": end}
        given = [graph.placeholder(feed.tensor.name) for feed in feeds]
        arguments: dict[str, Any] = {}
        for feed, tensor in zip(feeds, given, strict=True):
            part = f"given_{feed.tensor.name}"
            parts[part] = Seen(card) if feed.tensor.name == "image" else Rows(feed.shape, feed.is_index)
            arguments[feed.argument.name] = graph.call_module(part, (tensor,))
        answer = graph.call_module("network", kwargs=arguments)
        graph.output(graph.call_module("end", (graph.call_module("chosen", (answer,)),)))
        return fx.GraphModule(parts, graph).eval()


def _outputs(answer: object) -> dict[str | int, torch.Tensor]:
    if isinstance(answer, Mapping):
        return {name: value for name, value in answer.items() if isinstance(value, torch.Tensor)}
    outputs = answer if isinstance(answer, list | tuple) else [answer]
    return {number: value for number, value in enumerate(outputs) if isinstance(value, torch.Tensor)}


def check_finite(network: nn.Module) -> None:
    """Raise CheckpointError where a weight is not a finite number."""
    infinite = [name for name, value in network.state_dict().items() if not torch.isfinite(value).all()]
    if infinite:
        raise CheckpointError(f"the weights hold values that are not finite: {infinite[0]}")
