"""What images are made under beside their latents: truncation, noise, classes, captions, as tensors by seed.

All is as the gateway has it for an image of that seed whose request gives no controls. Where a model needs a class,
each image draws one from its seed; where it needs a caption, all have the one that is given.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.v1.model_pb2 import Model
from pellucid_export.axes import captions
from pellucid_export.axes.captions import Tokens
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.latents import stream
from pellucid_export.family import Tensor
from pellucid_export.samples import Array, Arrays

_CONDITIONING_STREAM, _CLASS_STREAM = 1, 5


@dataclass(frozen=True)
class Given:
    """What was chosen: classes by name or index, with commas between; a caption; a .npy file of a condition vector."""

    classes: str = ""
    caption: str = ""
    condition: Path | None = None


@dataclass(frozen=True)
class Conditions:
    """Rows of tensors: those that are the same for all images, and those that follow from an image's seed.

    `scale` is what latents of the prior are multiplied by. `said` tells in words everything that was chosen.
    """

    fixed: Mapping[str, Array]
    drawn: Mapping[str, Callable[[int], Array]]
    scale: float
    said: tuple[str, ...]

    def rows(self, seeds: Sequence[int], wanted: Collection[str]) -> Arrays:
        """Those of the wanted tensors that are conditions, with one row a seed."""
        fixed = {name: np.repeat(row[None], len(seeds), axis=0) for name, row in self.fixed.items() if name in wanted}
        drawn = {name: [row(seed) for seed in seeds] for name, row in self.drawn.items() if name in wanted}
        return fixed | {name: np.stack(rows) for name, rows in drawn.items()}


def of(card: Model, brought: Mapping[str, Tensor], given: Given, version: Path) -> Conditions:
    """The conditions of a model whose stages need the tensors `brought`; `version` is the folder of its assets.

    Raises AxesError for a tensor that nothing is known of, a choice that the model does not have or lacks, and a
    choice that does not suit it.
    """
    _check_choices(card.name, brought, given)
    classes = _classes(card, brought["label"].dims[0], given.classes) if "label" in brought else []
    tokens = _tokens(card, version, given.caption) if "tokens" in brought else Tokens()
    condition = _vector(given.condition, brought["condition"].dims) if "condition" in brought else None
    fixed: dict[str, object] = {
        "condition": condition,
        "noise": 0,
        "noise_seeded": 0,
        "noise_strength": 1,
        "token_count": len(tokens.numbers),
        "tokens": tokens.numbers + (0,) * (card.caption.max_tokens - len(tokens.numbers)),
        "truncation": _truncation(card),
        "truncation_cutoff": card.truncation.default_cutoff,
    }
    drawn = {"label": _one_hot(classes), "conditioning_noise": _normals}
    unknown = sorted(set(brought) - set(fixed) - set(drawn))
    if unknown:
        raise AxesError(f"'{card.name}' also needs {', '.join(unknown)}, which axes have no value for")
    return Conditions(
        {name: _filled(tensor, fixed[name]) for name, tensor in brought.items() if name in fixed},
        {name: _drawing(tensor, drawn[name]) for name, tensor in brought.items() if name in drawn},
        _truncation(card) if card.truncation.scales_prior else 1.0,
        tuple(_said(card, classes, tokens, condition)),
    )


def _check_choices(model: str, brought: Mapping[str, Tensor], given: Given) -> None:
    choices = {"classes": "label", "caption": "tokens", "condition": "condition"}
    for choice, tensor in choices.items():
        if getattr(given, choice) and tensor not in brought:
            raise AxesError(f"'{model}' takes no {choice}")


def _truncation(card: Model) -> float:
    allowed = card.truncation
    return allowed.default_value if allowed.max > allowed.min else 1.0


def _classes(card: Model, count: int, chosen: str) -> list[int]:
    """Indices of the classes that images draw from, all by default."""
    names = [name.casefold() for name in card.classes.names]
    if len(names) != count:
        raise AxesError(f"'{card.name}' takes {count} classes, and its card names {len(names)}")
    if not chosen:
        return list(range(count))
    return [_index(card, names, one.strip()) for one in chosen.split(",")]


def _index(card: Model, names: Sequence[str], one: str) -> int:
    if one.casefold() in names:
        return names.index(one.casefold())
    if one.isdecimal() and int(one) < len(names):
        return int(one)
    raise AxesError(f"'{card.name}' has no class '{one}', by name or by index from 0 to {len(names) - 1}")


def _tokens(card: Model, version: Path, caption: str) -> Tokens:
    if not caption:
        raise AxesError(f"'{card.name}' makes images of captions: give --caption")
    return captions.read(caption, version / card.caption.vocabulary_asset, card.caption.max_tokens)


def _vector(path: Path | None, shape: tuple[int, ...]) -> Array:
    if path is None:
        return np.zeros(shape)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AxesError(f"{path.name}: not a plain NumPy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.squeeze().shape != shape:
        raise AxesError(f"{path.name}: a floating-point vector {shape} of conditions is expected")
    return array.squeeze()


def _filled(tensor: Tensor, value: object) -> Array:
    return np.broadcast_to(np.asarray(value, tensor.dtype), tensor.dims)


def _drawing(tensor: Tensor, row: Callable[[int, Tensor], Array]) -> Callable[[int], Array]:
    return lambda seed: row(seed, tensor).astype(tensor.dtype)


def _one_hot(classes: Sequence[int]) -> Callable[[int, Tensor], Array]:
    def row(seed: int, tensor: Tensor) -> Array:
        drawn = classes[int(stream(seed, _CLASS_STREAM).integers(len(classes)))]
        return np.asarray(np.eye(1, tensor.dims[0], drawn)[0])

    return row


def _normals(seed: int, tensor: Tensor) -> Array:
    return stream(seed, _CONDITIONING_STREAM).standard_normal(tensor.dims, dtype=np.float32)


def _said(card: Model, classes: Sequence[int], tokens: Tokens, condition: Array | None) -> Iterator[str]:
    if card.HasField("truncation"):
        below = f" below layer {card.truncation.default_cutoff}" if card.truncation.layers else ""
        yield f"truncation {_truncation(card)!r}{below}"
    if classes:
        every = classes == list(range(len(card.classes.names)))
        names = ", ".join(f"{index} ({card.classes.names[index]})" for index in classes)
        yield f"a class drawn from {f'all {len(classes):,}' if every else names}"
    if tokens.words:
        left_out = f" without {', '.join(tokens.unknown)}, which the model does not know" if tokens.unknown else ""
        yield f"the caption '{' '.join(tokens.words)}'{left_out}"
    if condition is not None:
        digest = hashlib.sha256(condition.astype(np.float64).tobytes()).hexdigest()
        yield f"conditions of SHA-256 {digest}" if condition.any() else "conditions of 0"
