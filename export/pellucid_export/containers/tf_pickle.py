"""Networks in the pickles of NVIDIA's TensorFlow code, from progressive GAN to StyleGAN 2.

A file holds the tuple (G, D, Gs) of `Network` objects; Gs is the generator with averaged weights. The state of such an
object has the source code of the function that built it, which the original loader runs. Here it stays text: only
variables and settings are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid_export.containers import pickled
from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.pickled import Globals, Record
from pellucid_export.errors import CheckpointError

# Both names stand for one class: it moved when progressive GAN became StyleGAN.
_GLOBALS: Globals = {**pickled.ARRAYS, "tfutil.Network": Record, "dnnlib.tflib.network.Network": Record}


SIZES = {f"{4 << block}x{4 << block}": block for block in range(10)}
"""The scopes of a growing network's variables, and the numbers of their blocks."""


@dataclass(frozen=True)
class TfNetwork:
    """A network: the name of the function that built it, its arguments, its variables by name, and its parts."""

    function: str
    settings: Mapping[str, Any]
    variables: State
    components: Mapping[str, "TfNetwork"]

    def setting(self, name: str, allowed: Sequence[object]) -> Any:
        """A setting's value, where it is one of those `allowed`; the first of them is the function's default.

        Raises CheckpointError for another value.
        """
        value = self.settings.get(name, allowed[0])
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if value not in allowed:
            known = " or ".join(map(repr, allowed))
            raise CheckpointError(f"{self.function} was built with {name}={value!r}; {known} can be exported")
        return value

    @property
    def classes(self) -> int:
        """Numbers in a label. Raises CheckpointError where that is no number."""
        size = self.settings.get("label_size", 0)
        if type(size) is not int:
            raise CheckpointError(f"{self.function} was built with label_size={size!r}, which is no whole number")
        return size


def read_generator(path: Path) -> TfNetwork:
    """The averaged generator Gs of a file, as float32 tensors. Raises CheckpointError, and executes nothing."""
    content = pickled.read(path, _GLOBALS)
    try:
        if not isinstance(content, tuple) or not content or not isinstance(content[-1], Record):
            raise CheckpointError("not a tuple (G, D, Gs) of TensorFlow networks")
        return _network(content[-1])
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def weight(variable: torch.Tensor) -> torch.Tensor:
    """A kernel (k, k, in, out) as (out, in, k, k), a matrix (in, out) as (out, in), and any other as it is."""
    return variable.permute(3, 2, 0, 1) if variable.ndim == 4 else variable.mT if variable.ndim == 2 else variable


def _network(record: object) -> TfNetwork:
    state = record.state if isinstance(record, Record) else None
    if not isinstance(state, Mapping):
        raise CheckpointError("a network has no state")
    components = _field(state, "components", Mapping, {})
    variables = _field(state, "variables", list)
    return TfNetwork(
        function=_field(state, "build_func_name", str),
        settings=_field(state, "static_kwargs", Mapping),
        variables=dict(_variable(pair) for pair in variables),
        components={name: _network(part) for name, part in components.items()},
    )


def _field(state: Mapping[str, Any], name: str, kind: type[Any], default: object = None) -> Any:
    value = state.get(name, default)
    if not isinstance(value, kind):
        raise CheckpointError(f"a network's {name} is {type(value).__name__}, not {kind.__name__}")
    return value


def _variable(pair: object) -> tuple[str, torch.Tensor]:
    match pair:
        case (str(name), np.ndarray() | np.generic() as value) if value.dtype.kind == "f":
            return name, torch.from_numpy(np.array(value, dtype=np.float32))
    raise CheckpointError("a network's variables must be pairs of a name and an array of real numbers")
