"""Sets of axes that others found: TL-GAN's feature directions and InterFaceGAN's boundaries.

Such files tell a direction and a name, and nothing of what it was fitted on: slope, intercept, fit and effects are
absent. Which weights they belong to is for whoever imports them to say.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from pellucid.v1.axis_pb2 import Axis, AxisSet
from pellucid.v1.latent_pb2 import SPACE_UNSPECIFIED, SPACE_W, SPACE_Z, Space
from pellucid.v1.model_pb2 import PRIOR_NORMAL, PRIOR_SPHERE, Model
from pellucid_export.axes import direction_pickle, interfacegan
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.response import HARD_LIMIT_STEPS
from pellucid_export.datasets import celeba


@dataclass(frozen=True)
class Imported:
    """A direction (D,) that a file holds under a name."""

    name: str
    space: "Space.ValueType"
    direction: npt.NDArray[np.float64]
    origin: str


def read(path: Path, space: "Space.ValueType | None" = None, *, interface_signs: bool = False) -> list[Imported]:
    """Read a TL-GAN pickle (.pkl) or an InterFaceGAN boundary (.npy).

    They lie in W where the file's name says so, otherwise in `space`, by default Z. With `interface_signs` the
    directions that TL-GAN's notebook reverses are reversed and named as shown there (No_Beard becomes Beard, Pale_Skin
    Skin_Tone, Young Age). Raises AxesError.
    """
    if path.suffix not in _READERS:
        raise AxesError(f"{path.name}: {' or '.join(_READERS)} is expected")
    found = [replace(one, space=_space(one, space)) for one in _READERS[path.suffix](path)]
    return [_as_shown(one) for one in found] if interface_signs else found


def axis_set(name: str, imported: Sequence[Imported], card: Model, weights_digest: str, license_name: str) -> AxisSet:
    """The set of imported axes for a model; `weights_digest` is empty where nobody vouches for the weights.

    Raises AxesError where an axis lies in a space that the model has not, or has another size.
    """
    for one in imported:
        sizes = {space.space: space.size for space in card.spaces}
        if sizes.get(one.space) != len(one.direction):
            raise AxesError(
                f"{one.origin}: axis '{one.name}' has {len(one.direction)} numbers in {Space.Name(one.space)};"
                f" '{card.name}' has {', '.join(f'{Space.Name(s)} of {n}' for s, n in sizes.items()) or 'no space'}"
            )
    now = Timestamp()
    now.GetCurrentTime()
    # None leaves the field absent, which an empty text would not.
    digest = weights_digest or None
    axes = [_axis(one, card, digest) for one in imported]
    return AxisSet(name=name, create_time=now, axes=axes, license=license_name, weights_digest=digest)


def directions(imported: Iterable[Imported]) -> npt.NDArray[np.float64]:
    """Unit rows (K, D)."""
    rows = np.stack([one.direction for one in imported])
    unit: npt.NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _axis(one: Imported, card: Model, digest: str | None) -> Axis:
    is_deviation = one.space == SPACE_Z and card.latent.prior in (PRIOR_NORMAL, PRIOR_SPHERE)
    return Axis(
        name=one.name.lower(),
        display_name=one.name.replace("_", " "),
        quantity=one.name.lower(),
        space=one.space,
        # A standard deviation of these priors. Of others and of W neither it nor a limit is known; a unit length, in
        # which InterFaceGAN counts, stands for it.
        step_length=1.0,
        hard_limit_steps=HARD_LIMIT_STEPS if is_deviation else 0.0,
        origin=one.origin,
        weights_digest=digest,
    )


def _space(one: Imported, chosen: "Space.ValueType | None") -> "Space.ValueType":
    if one.space == SPACE_UNSPECIFIED:
        return SPACE_Z if chosen is None else chosen
    if chosen not in (None, one.space):
        raise AxesError(f"{one.origin}: its name says {Space.Name(one.space)}; it cannot be imported into another")
    return one.space


def _pickle(path: Path) -> list[Imported]:
    found = direction_pickle.read(path)
    return [
        Imported(name, SPACE_UNSPECIFIED, row, path.name) for name, row in zip(found.names, found.rows, strict=True)
    ]


def _boundary(path: Path) -> list[Imported]:
    found = interfacegan.read(path)
    # Files of Z have nothing in their names that says so.
    said = SPACE_W if found.space == SPACE_W else SPACE_UNSPECIFIED
    return [Imported(found.attribute, said, found.normal, path.name)]


_READERS: dict[str, Callable[[Path], list[Imported]]] = {".pkl": _pickle, ".npy": _boundary}


def _as_shown(one: Imported) -> Imported:
    if one.name not in celeba.REVERSED:
        return one
    return replace(one, name=celeba.REVERSED[one.name], direction=-one.direction)
