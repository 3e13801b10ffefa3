"""InterFaceGAN's boundaries: its files, its conditional boundaries and its interpolation.

Source: genforce/interfacegan, commit 8da3fc0, utils/manipulator.py; Shen et al., "Interpreting the latent space of
GANs for semantic face editing", CVPR 2020. A boundary's unit normal points to more of the attribute.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_Z, Space
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.locks import unlocked

Vector = npt.NDArray[np.float64]

_GENERATORS = ("pggan_celebahq", "stylegan_celebahq", "stylegan_ffhq")
_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Boundary:
    """A boundary as its file and the file's name tell it: attribute, generator (or empty), space, unit normal (D,)."""

    attribute: str
    generator: str
    space: "Space.ValueType"
    normal: Vector


def read(path: Path) -> Boundary:
    """Read `[<generator>_]<attribute>[_c_<condition>...][_w]_boundary.npy`, an array (1, D) of length 1.

    Raises AxesError for a file that is no plain array of that kind; nothing in it is executed.
    """
    name = re.fullmatch(r"(.+?)(_w)?_boundary", path.stem)
    if name is None:
        raise AxesError(f"{path.name}: a boundary's file is called <attribute>[_w]_boundary.npy")
    generator = next((known for known in _GENERATORS if name[1].startswith(f"{known}_")), "")
    attribute = name[1].removeprefix(f"{generator}_")
    return Boundary(attribute, generator, SPACE_W if name[2] else SPACE_Z, _read_normal(path))


def _read_normal(path: Path) -> Vector:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AxesError(f"{path.name}: not a plain NumPy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2 or array.shape[0] != 1:
        raise AxesError(f"{path.name}: a floating-point array (1, D) is expected, one vector for all layers")
    length = float(np.linalg.norm(array.astype(np.float64)))
    if not abs(length - 1) <= _LENGTH_TOLERANCE:  # also true for NaN
        raise AxesError(f"{path.name}: a boundary has length 1, this has {length:g}")
    normal: Vector = array[0].astype(np.float64)
    return normal


def condition(primal: Vector, *conditions: Vector) -> Vector:
    """The unit part of a boundary (D,) that is orthogonal to the conditions: what the files `*_c_*` hold."""
    rest = unlocked(primal, np.stack(conditions)) if conditions else primal
    unit: Vector = rest / np.linalg.norm(rest)
    return unit


def interpolate(
    code: npt.ArrayLike, boundary: npt.ArrayLike, start: float = -3.0, end: float = 3.0, steps: int = 10
) -> npt.NDArray[np.float64]:
    """`steps` codes along a boundary (D,), with distances from `start` to `end`, both included.

    For a code (1, D) the distances count from the boundary, so that the code itself is in general not among the
    results (steps, D). For a code (1, L, D) of W+ they count from the code, and every layer moves alike (steps, L, D).
    Raises AxesError for other shapes.
    """
    origin, normal = np.asarray(code), np.asarray(boundary, np.float64).reshape(1, -1)
    distances = np.linspace(start, end, steps)
    if origin.ndim == 2 and origin.shape[0] == 1:
        # NOTE: the original rounds to float32 here, before the product.
        relative = (distances - float(origin[0] @ normal[0])).astype(np.float32)[:, None]
    elif origin.ndim == 3 and origin.shape[0] == 1:
        relative = distances.astype(np.float32)[:, None, None]
        normal = normal[None]
    else:
        raise AxesError(f"a code is (1, D) or (1, L, D), not {origin.shape}")
    moved: npt.NDArray[np.float64] = origin + relative * normal
    return moved
