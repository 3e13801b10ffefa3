"""Axes read from the files beside a version: `axes/<set>.safetensors`."""

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import safetensors.numpy
from google.protobuf import json_format
from safetensors import SafetensorError
from upath import UPath

from pellucid.v1 import axis_pb2, latent_pb2
from pellucid_gateway.axes import Direction
from pellucid_gateway.errors import NotFound, Refused

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
METADATA_KEY = "axis_set"
UNIT_TOLERANCE = 1e-4

Sizes = Mapping["latent_pb2.Space.ValueType", tuple[int, int]]
"""Of each space, how many numbers a direction has, and how many layers an axis may choose from."""


@dataclass(frozen=True)
class AxisTable:
    """The axes of one version: the newest of each name, all by their sets' digest, and those refused, with reasons."""

    newest: dict[str, Direction] = field(default_factory=dict)
    by_digest: dict[tuple[str, str], Direction] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def find(self, name: str, digest: str = "") -> Direction:
        """Find an axis by name, and by its set's digest where one is given. Raises NotFound or Refused."""
        direction = self.by_digest.get((name, digest)) if digest else self.newest.get(name)
        if direction is not None:
            return direction
        if digest and name in self.newest:
            raise Refused("AXES_DIFFER", f"axis {name!r} of the set {digest} is not beside this version")
        if name in self.refused:
            raise Refused("AXES_REFUSED", f"axis {name!r} is refused: {self.refused[name]}")
        raise NotFound("axis", name, list(self.newest))


def read(folder: UPath, model: str, weights_digest: str, sizes: Sizes, unsigned: Collection[str] = ()) -> AxisTable:
    """Read all sets of a version's `axes` folder; one that does not fit is refused with the reason.

    `sizes` says how many numbers a direction has in each space that the model has; `unsigned` names files to refuse.
    """
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    sets: list[tuple[axis_pb2.AxisSet, list[Direction]]] = []
    refused: dict[str, str] = {}
    for file in files:
        if file.name in unsigned:
            refused[file.stem] = f"{file.name} is not in the signed manifest"
            continue
        try:
            axis_set, directions = _read_set(file.read_bytes(), file.stem)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, json_format.ParseError) as error:
            refused[file.stem] = f"{file.name} cannot be read: {error}"
            continue
        fault = _fault(directions, weights_digest, sizes)
        if fault:
            refused.update(dict.fromkeys((axis.name for axis in axis_set.axes), f"{file.name}: {fault}"))
        else:
            sets.append((axis_set, directions))
    return _table(model, sets, refused)


def _read_set(content: bytes, name: str) -> tuple[axis_pb2.AxisSet, list[Direction]]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    rows = np.asarray(safetensors.numpy.load(content)["directions"], dtype=np.float64)
    header = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header])["__metadata__"][METADATA_KEY]
    axis_set = json_format.Parse(metadata, axis_pb2.AxisSet(), ignore_unknown_fields=True)
    if rows.ndim != 2 or len(rows) != len(axis_set.axes):
        raise ValueError(f"directions of shape {rows.shape} for {len(axis_set.axes)} axes")
    for axis in axis_set.axes:
        axis.axis_set, axis.axis_set_digest = name, digest
        axis.step_length = axis.step_length or 1.0
        axis.space = axis.space or latent_pb2.SPACE_Z
        if axis_set.HasField("weights_digest") and not axis.HasField("weights_digest"):
            axis.weights_digest = axis_set.weights_digest
    return axis_set, [Direction(axis, unit) for axis, unit in zip(axis_set.axes, rows, strict=True)]


def _fault(directions: list[Direction], weights_digest: str, sizes: Sizes) -> str:
    """Say what keeps a set from being used with a version; empty where nothing does."""
    for direction in directions:
        axis = direction.axis
        if not NAME.fullmatch(axis.name):
            return f"the name {axis.name!r} does not match {NAME.pattern}"
        if axis.HasField("weights_digest") and axis.weights_digest != weights_digest:
            return f"fitted for the weights {axis.weights_digest}, and this version has {weights_digest}"
        if axis.space not in sizes:
            return f"axis {axis.name!r} lies in {latent_pb2.Space.Name(axis.space)}, which the model has not"
        size, layers = sizes[axis.space]
        if direction.unit.shape != (size,):
            return f"axis {axis.name!r} has {direction.unit.size} numbers, and the latent has {size}"
        if axis.HasField("layers") and not 0 <= axis.layers.first <= axis.layers.last < layers:
            return f"axis {axis.name!r} moves the layers {axis.layers.first} to {axis.layers.last} of {layers}"
        if not abs(float(np.linalg.norm(direction.unit)) - 1) < UNIT_TOLERANCE:
            return f"axis {axis.name!r} is not of unit length"
        if not 0 < axis.step_length < math.inf or (axis.HasField("slope") and not 0 < abs(axis.slope) < math.inf):
            return f"axis {axis.name!r} has step_length {axis.step_length} and slope {axis.slope}"
    return ""


def _table(model: str, sets: Iterable[tuple[axis_pb2.AxisSet, list[Direction]]], refused: dict[str, str]) -> AxisTable:
    newest: dict[str, Direction] = {}
    by_digest: dict[tuple[str, str], Direction] = {}
    for _, directions in sorted(sets, key=lambda s: (s[0].create_time.ToNanoseconds(), s[0].name)):
        for direction in directions:
            name = direction.axis.name
            newest[name] = by_digest[name, direction.axis.axis_set_digest] = direction
    return AxisTable(dict(sorted(newest.items())), by_digest, refused)
