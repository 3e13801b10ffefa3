"""What an image is made under beside its latent: classes, caption, truncation, noise, as the tensors of a model.

controls of a request, over those of a recipe -> checked against the card -> Conditions -> rows of tensors
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from pellucid.v1 import image_pb2, model_pb2
from pellucid_gateway import captions, latents
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.captions import Tokens
from pellucid_gateway.errors import InvalidRequest, Refused, Violation, invalid
from pellucid_gateway.latents import Latents
from pellucid_gateway.versions import ServedVersion

_NO_TOKENS = Tokens((), (), ())
_NOTHING: Latents = np.zeros(0, dtype=np.float32)

_SUPPORTED: Mapping[str, Callable[[ServedVersion], bool]] = {
    "classes": lambda served: served.card.HasField("classes"),
    "caption": lambda served: served.card.HasField("caption"),
    "truncate_caption": lambda served: served.card.HasField("caption"),
    "truncation": lambda served: served.card.HasField("truncation"),
    "truncation_cutoff": lambda served: served.card.truncation.layers > 0,
    "style_mixes": lambda served: served.card.HasField("style_layers"),
    "noise_strength": lambda served: "noise_strength" in served.chain.brought,
    "noise_seed": lambda served: served.card.noise.seeded,
    "conditioning_noise": lambda served: served.card.HasField("conditioning"),
    "condition": lambda served: served.card.HasField("condition"),
}


@dataclass(frozen=True)
class Conditions:
    """What an image is made under: `label` (C,) are shares of classes, `condition` (K,) a free vector.

    `conditioning` (K,) resamples a caption's embedding; it is empty where nobody has chosen it.
    """

    label: Latents = field(default_factory=lambda: _NOTHING)
    condition: Latents = field(default_factory=lambda: _NOTHING)
    conditioning: Latents = field(default_factory=lambda: _NOTHING)
    truncation: float = 1.0
    cutoff: int = 0
    noise_strength: float = 1.0
    noise_seed: int | None = None
    tokens: Tokens = _NO_TOKENS

    def row(self, name: str, served: ServedVersion) -> Tensor:
        """Give one row of a tensor that a request brings, in the model's type and shape."""
        spec = served.chain.brought[name]
        values = _ROWS[name](self, served)
        return np.asarray(values, dtype=spec.dtype).reshape(spec.shape)

    @property
    def warnings(self) -> list[str]:
        """Things that the caller should know."""
        unknown = ", ".join(self.tokens.unknown)
        return [f"words that are not in the model's vocabulary were left out: {unknown}"] if unknown else []


def merged(controls: image_pb2.Controls, under: image_pb2.Controls) -> image_pb2.Controls:
    """Lay a request's controls over those of a recipe, which apply where the request gives none."""
    result = image_pb2.Controls()
    result.CopyFrom(under)
    for descriptor, _ in controls.ListFields():
        result.ClearField(descriptor.name)  # type: ignore[arg-type]
    result.MergeFrom(controls)
    return result


def resolve(controls: image_pb2.Controls, served: ServedVersion, at: str) -> Conditions:
    """Check controls, all but style mixes, against a model's card; `at` is the field that holds them.

    Raises Refused for a control that the model lacks, and InvalidRequest for a value that it cannot take.
    """
    card = served.card
    for descriptor, _ in controls.ListFields():
        if not _SUPPORTED[descriptor.name](served):
            raise Refused(
                "CONTROL_NOT_SUPPORTED", f"{card.name} has no {descriptor.name} (field {at}.{descriptor.name})"
            )
    return Conditions(
        label=_label(controls, served, at),
        condition=_condition(controls, card, at),
        conditioning=_conditioning(controls, card, at),
        truncation=_truncation(controls, card.truncation, at),
        cutoff=_cutoff(controls, card.truncation, at),
        noise_strength=controls.noise_strength if controls.HasField("noise_strength") else 1.0,
        noise_seed=controls.noise_seed if controls.HasField("noise_seed") else None,
        tokens=_tokens(controls, served, at),
    )


def between(
    start: Conditions, end: Conditions, position: float, path: "image_pb2.Path.ValueType", at: str
) -> Conditions:
    """Give what an image on the way between two is made under: shares and strengths go along, a caption cannot.

    Raises InvalidRequest about `at` where captions, noise or cut-offs differ.
    """
    if start is end:
        return start
    for name in ("tokens", "noise_seed", "cutoff"):
        if getattr(start, name) != getattr(end, name):
            raise invalid(at, f"its start and end differ in {name}, which has nothing in between")

    def lerp(name: str) -> Latents:
        return latents.interpolate(getattr(start, name), getattr(end, name), position, image_pb2.PATH_LINEAR)

    return Conditions(
        label=lerp("label"),
        condition=lerp("condition"),
        conditioning=latents.interpolate(start.conditioning, end.conditioning, position, path),
        truncation=(1 - position) * start.truncation + position * end.truncation,
        cutoff=start.cutoff,
        noise_strength=(1 - position) * start.noise_strength + position * end.noise_strength,
        noise_seed=start.noise_seed,
        tokens=start.tokens,
    )


def _label(controls: image_pb2.Controls, served: ServedVersion, at: str) -> Latents:
    card = served.card
    if "label" not in served.chain.brought:
        return _NOTHING
    if not controls.classes:
        raise invalid(f"{at}.classes", f"{card.name} needs a class: one of {len(card.classes.names)}, or a mixture")
    label = np.zeros(len(card.classes.names))
    for k, chosen in enumerate(controls.classes):
        label[_index(chosen, served, f"{at}.classes[{k}]")] += chosen.weight if chosen.HasField("weight") else 1.0
    return np.asarray(label / label.sum(), dtype=np.float32)


def _index(chosen: image_pb2.ClassWeight, served: ServedVersion, at: str) -> int:
    names = served.card.classes.names
    if chosen.HasField("index"):
        if chosen.index >= len(names):
            raise invalid(
                f"{at}.index", f"{chosen.index}, and {served.card.name} has the classes 0 to {len(names) - 1}"
            )
        return chosen.index
    name = chosen.name.casefold()
    if name not in served.classes:
        close = ", ".join(map(repr, get_close_matches(name, served.classes, 5))) or "none alike"
        raise invalid(f"{at}.name", f"{served.card.name} has no class {chosen.name!r}; there are {close}")
    return served.classes[name]


def _condition(controls: image_pb2.Controls, card: model_pb2.Model, at: str) -> Latents:
    if not card.HasField("condition"):
        return _NOTHING
    return _vector(controls.condition, card.condition.size, f"{at}.condition", card.name)


def _conditioning(controls: image_pb2.Controls, card: model_pb2.Model, at: str) -> Latents:
    if not controls.conditioning_noise:
        return _NOTHING
    return _vector(controls.conditioning_noise, card.conditioning.size, f"{at}.conditioning_noise", card.name)


def _vector(values: Sequence[float], size: int, at: str, model: str) -> Latents:
    vector = np.array(values, dtype=np.float32)
    if vector.size != size:
        raise invalid(at, f"{vector.size} numbers, and {model} takes {size}")
    unfit = np.flatnonzero(~np.isfinite(vector))
    if unfit.size:
        raise InvalidRequest([Violation(f"{at}[{k}]", f"{vector[k]} is not finite") for k in unfit[:10]])
    return vector


def _truncation(controls: image_pb2.Controls, allowed: model_pb2.TruncationRange, at: str) -> float:
    if not controls.HasField("truncation"):
        return allowed.default_value if allowed.max > allowed.min else 1.0
    if not allowed.min <= controls.truncation <= allowed.max:
        raise invalid(f"{at}.truncation", f"{controls.truncation:g} is not between {allowed.min:g} and {allowed.max:g}")
    return controls.truncation


def _cutoff(controls: image_pb2.Controls, allowed: model_pb2.TruncationRange, at: str) -> int:
    if not controls.HasField("truncation_cutoff"):
        return allowed.default_cutoff
    if controls.truncation_cutoff > allowed.layers:
        raise invalid(f"{at}.truncation_cutoff", f"{controls.truncation_cutoff}, and there are {allowed.layers} layers")
    return controls.truncation_cutoff


def _tokens(controls: image_pb2.Controls, served: ServedVersion, at: str) -> Tokens:
    card = served.card
    if not card.HasField("caption"):
        return _NO_TOKENS
    if not controls.HasField("caption"):
        raise invalid(f"{at}.caption", f"{card.name} needs a caption")
    return captions.read(
        controls.caption,
        served.vocabulary,
        card.caption.max_tokens,
        truncate=controls.truncate_caption,
        field=f"{at}.caption",
    )


def _noise(conditions: Conditions, served: ServedVersion) -> Latents:
    size = served.card.noise.size
    if conditions.noise_seed is None:
        return np.zeros(size, dtype=np.float32)
    return latents.draw(conditions.noise_seed, latents.NOISE_STREAM, size)


def _padded(conditions: Conditions, served: ServedVersion) -> list[int]:
    numbers = conditions.tokens.numbers
    return [*numbers, *[0] * (served.card.caption.max_tokens - len(numbers))]


_ROWS: Mapping[str, Callable[[Conditions, ServedVersion], object]] = {
    "label": lambda conditions, _: conditions.label,
    "condition": lambda conditions, _: conditions.condition,
    "conditioning_noise": lambda conditions, _: conditions.conditioning,
    "truncation": lambda conditions, _: conditions.truncation,
    "truncation_cutoff": lambda conditions, _: conditions.cutoff,
    "noise_strength": lambda conditions, _: conditions.noise_strength,
    "noise": _noise,
    "noise_seeded": lambda conditions, _: conditions.noise_seed is not None,
    "tokens": _padded,
    "token_count": lambda conditions, _: len(conditions.tokens.numbers),
}

NAMES = frozenset(_ROWS)
"""Tensors that are made of conditions."""
