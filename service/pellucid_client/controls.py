"""A model's own controls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_client.errors import InvalidRequest
from pellucid_client.sources import SourceLike, source_messages

ClassLike: TypeAlias = str | int
"""A class by its name in the card, or by its index."""

VectorLike: TypeAlias = Sequence[float] | NDArray[Any]
"""Numbers (K,)."""


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
    """At most 1,000 characters; words that the model does not know come back in the image's warnings."""
    truncation: float | None = None
    truncation_cutoff: int | None = None
    """Layers below it are truncated."""
    style_mixes: Sequence[StyleMix] = ()
    noise_strength: float | None = None
    """Scale of the noise: 1 as trained, 0 none."""
    noise_seed: int | None = None
    conditioning_noise: VectorLike | None = None
    """What a caption's embedding is resampled with. Default: drawn from the image's seed, 0 for a latent."""
    condition: VectorLike | None = None
    """The model's vector of conditions, such as a text embedding made elsewhere."""
    truncate_caption: bool | None = None
    """Cut a caption after the most tokens that the model takes, instead of refusing it. Default False."""

    def message(self, sampler: image_pb2.Sampler.ValueType = image_pb2.SAMPLER_UNSPECIFIED) -> image_pb2.Controls:
        """Return the controls as the contract's message; seeds of style mixes become latents by `sampler`."""
        return image_pb2.Controls(
            classes=self._class_weights(),
            caption=self.caption,
            truncation=self.truncation,
            truncation_cutoff=self.truncation_cutoff,
            style_mixes=[_style_mix(mix, sampler) for mix in self.style_mixes],
            noise_strength=self.noise_strength,
            noise_seed=self.noise_seed,
            conditioning_noise=_vector(self.conditioning_noise, "controls.conditioning_noise"),
            condition=_vector(self.condition, "controls.condition"),
            truncate_caption=self.truncate_caption,
        )

    def _class_weights(self) -> list[image_pb2.ClassWeight]:
        if isinstance(self.classes, Mapping):
            return [_class_weight(name, weight) for name, weight in self.classes.items()]
        single = isinstance(self.classes, str | Integral)
        names: Iterable[ClassLike] = [self.classes] if single else self.classes  # type: ignore[assignment, list-item]
        return [_class_weight(name, None) for name in names]


def _class_weight(name: ClassLike, weight: float | None) -> image_pb2.ClassWeight:
    if isinstance(name, str):
        return image_pb2.ClassWeight(name=name, weight=weight)
    return image_pb2.ClassWeight(index=name, weight=weight)


def _style_mix(mix: StyleMix, sampler: image_pb2.Sampler.ValueType) -> image_pb2.StyleMix:
    field = "controls.style_mixes"
    sources = source_messages(mix.source, field, sampler)
    if len(sources) > 1:
        raise InvalidRequest.of(field, f"{len(sources)} sources for layers {mix.first} to {mix.last}, not one")
    return image_pb2.StyleMix(source=sources[0], layers=latent_pb2.LayerRange(first=mix.first, last=mix.last))


def _vector(given: VectorLike | None, field: str) -> list[float]:
    if given is None:
        return []
    vector = np.asarray(given, dtype=np.float32)
    # None at all would be taken for the default.
    if vector.ndim != 1 or not vector.size:
        raise InvalidRequest.of(field, f"an array {vector.shape} is no vector (K,)")
    return [float(number) for number in vector]
