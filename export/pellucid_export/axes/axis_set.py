"""Files of axes: `<version>/axes/<set>.safetensors`, written whole or not at all and never changed."""

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from google.protobuf import json_format

from pellucid.v1.axis_pb2 import AxisSet
from pellucid.v1.latent_pb2 import Space
from pellucid_export.axes.errors import AxesError

METADATA_KEY = "axis_set"
TENSOR = "directions"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_UNIT_TOLERANCE = 1e-6

Directions = npt.NDArray[np.float64]


def check(axis_set: AxisSet) -> None:
    """Raise AxesError where a name is not one the API can have, two axes share theirs, or axes lie in two spaces."""
    names = [axis.name for axis in axis_set.axes]
    for name in (axis_set.name, *names):
        if not _NAME.fullmatch(name):
            raise AxesError(f"'{name}' is no name: 1 to 128 of A-Z a-z 0-9 _ . - are, beginning with a letter or digit")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AxesError(f"set '{axis_set.name}' has several axes called {', '.join(twice)}")
    spaces = {axis.space: axis.name for axis in reversed(axis_set.axes)}
    if len(spaces) > 1:
        mixed = " and ".join(f"{Space.Name(space)} ({name})" for space, name in sorted(spaces.items()))
        raise AxesError(f"set '{axis_set.name}' has axes in {mixed}; those of one set lie in one space")


def path(version: Path, name: str) -> Path:
    """Where a version's set of that name is."""
    return version / "axes" / f"{name}.safetensors"


def check_free(version: Path, name: str) -> None:
    """Raise AxesError where the version has a set of that name."""
    if path(version, name).exists():
        raise AxesError(f"{path(version, name)} exists; sets are never changed, only superseded: choose another name")


def write(version: Path, axis_set: AxisSet, directions: Directions) -> Path:
    """Write unit directions (K, D), one an axis, beside a version; the file's path.

    Raises AxesError where the set's name is taken, the set is wrong (`check`), or the directions do not fit.
    """
    check(axis_set)
    if len(directions) != len(axis_set.axes):
        raise AxesError(f"{len(directions)} directions for {len(axis_set.axes)} axes")
    if not np.allclose(np.linalg.norm(directions, axis=1), 1, rtol=0, atol=_UNIT_TOLERANCE):
        raise AxesError(f"set '{axis_set.name}' has directions whose length is not 1")
    content = safetensors.numpy.save(
        {TENSOR: np.ascontiguousarray(directions, np.float64)},
        metadata={METADATA_KEY: json_format.MessageToJson(axis_set, indent=None)},
    )
    target = path(version, axis_set.name)
    place(content, target)
    return target


def place(content: bytes, target: Path) -> None:
    """Make a file appear whole under a name that is free. Raises AxesError where it is taken."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    try:
        # A link, unlike a rename, fails where the name is taken.
        os.link(file.name, target)
    except FileExistsError as error:
        raise AxesError(f"{target} exists; sets are never changed, only superseded: choose another name") from error
    finally:
        os.unlink(file.name)


def read(file: Path) -> tuple[AxisSet, Directions]:
    """Read a set and its directions (K, D). Raises AxesError."""
    try:
        content = file.read_bytes()
        axis_set = json_format.Parse(metadata(content)[METADATA_KEY], AxisSet())
        return axis_set, safetensors.numpy.load(content)[TENSOR]
    except (OSError, KeyError, ValueError, safetensors.SafetensorError, json_format.ParseError) as error:
        raise AxesError(f"{file.name}: not a file of axes: {error}") from error


def metadata(content: bytes) -> dict[str, str]:
    """The metadata in the header of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return found
