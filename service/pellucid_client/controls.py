"""A model's own controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_client.sources import SourceLike, source_messages

ClassLike: TypeAlias = str | int
"""A class by its name in the card, or by its index."""


@dataclass(frozen=True)
class StyleMix:
    """Takes the styles of layers `first` to `last`, both included, from another source."""

    source: SourceLike
    first: int
    last: int


@dataclass(frozen=True)
class Controls:
    """Controls of a request; a model whose card lacks one refuses it with Unsupported."""

    classes: ClassLike | Sequence[ClassLike] | Mapping[ClassLike, float] = ()
    """One class, several in equal shares, or shares by class."""
    caption: str | None = None
    truncation: float | None = None
    truncation_cutoff: int | None = None
    """Layers below it are truncated."""
    style_mixes: Sequence[StyleMix] = ()
    noise_strength: float | None = None
    """Scale of the noise: 1 as trained, 0 none."""
    noise_seed: int | None = None

    def message(self) -> image_pb2.Controls:
        """Return the controls as the contract's message."""
        return image_pb2.Controls(
            classes=self._class_weights(),
            caption=self.caption,
            truncation=self.truncation,
            truncation_cutoff=self.truncation_cutoff,
            style_mixes=[_style_mix(mix) for mix in self.style_mixes],
            noise_strength=self.noise_strength,
            noise_seed=self.noise_seed,
        )

    def _class_weights(self) -> list[image_pb2.ClassWeight]:
        if isinstance(self.classes, Mapping):
            return [_class_weight(name, weight) for name, weight in self.classes.items()]
        names = [self.classes] if isinstance(self.classes, str | int) else self.classes
        return [_class_weight(name, None) for name in names]


def _class_weight(name: ClassLike, weight: float | None) -> image_pb2.ClassWeight:
    if isinstance(name, str):
        return image_pb2.ClassWeight(name=name, weight=weight)
    return image_pb2.ClassWeight(index=name, weight=weight)


def _style_mix(mix: StyleMix) -> image_pb2.StyleMix:
    [source] = source_messages(mix.source, "style_mixes")
    return image_pb2.StyleMix(source=source, layers=latent_pb2.LayerRange(first=mix.first, last=mix.last))
