"""Networks in the snapshots of stylegan2-ada-pytorch, the pickles that its training writes.

Every network and every layer in them is a call of `torch_utils.persistence._reconstruct_persistent_obj`, and comes with
the source code of its class, which the original loader runs. Here it stays text: tensors and settings are all that is
kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from pellucid_export.containers import pickled
from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.pickled import Globals
from pellucid_export.errors import CheckpointError

AVERAGED_GENERATOR = "G_ema"

_DEEPEST = 16
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class SavedNetwork:
    """The tensors of a network and the plain values of its layers (`synthesis.b4.conv1.conv_clamp`), by dotted name."""

    state: State
    settings: Mapping[str, object]


def read(path: Path, name: str = AVERAGED_GENERATOR) -> SavedNetwork:
    """The network `name` of a snapshot. Raises CheckpointError, and executes nothing of the file."""
    content = pickled.read(path, _GLOBALS)
    network = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(network, _Persistent):
        found = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(f"{path.name}: no network '{name}'; found: {found}")
    try:
        parts = dict(_parts(network, ""))
        return SavedNetwork(
            state={tensor: value for part, record in parts.items() for tensor, value in record.tensors(part)},
            settings={setting: value for part, record in parts.items() for setting, value in record.settings(part)},
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


class _Persistent:
    """A module as its pickled state; the source of its class, `module_src` in `meta`, is dropped."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        attributes = meta.get("state")
        if not isinstance(attributes, Mapping):
            raise CheckpointError(f"an object of class {meta.get('class_name')} has no state")
        self.attributes: Mapping[str, Any] = attributes

    def group(self, name: str) -> Mapping[str, Any]:
        group = self.attributes.get(name, {})
        if not isinstance(group, Mapping):
            raise CheckpointError(f"{name} of a module is no mapping but a {type(group).__name__}")
        return group

    def tensors(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        for group in (self.group("_parameters"), self.group("_buffers")):
            yield from ((prefix + name, value) for name, value in group.items() if isinstance(value, torch.Tensor))

    def settings(self, prefix: str) -> Iterator[tuple[str, object]]:
        yield from ((prefix + name, value) for name, value in self.attributes.items() if isinstance(value, _PLAIN))


def _parts(module: _Persistent, prefix: str) -> Iterator[tuple[str, _Persistent]]:
    """The module and all within it, by what precedes the names of their tensors."""
    if prefix.count(".") > _DEEPEST:
        raise CheckpointError(f"modules are nested more than {_DEEPEST} deep")
    yield prefix, module
    for name, part in module.group("_modules").items():
        if isinstance(part, _Persistent):
            yield from _parts(part, f"{prefix}{name}.")


def _storage(content: bytes) -> torch.storage.TypedStorage:
    """The numbers of tensors are a PyTorch file within the pickle, a pickle again."""
    storage = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise CheckpointError(f"a tensor's numbers are no storage but a {type(storage).__name__}")
    return storage


def _tensor(
    storage: torch.storage.TypedStorage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> torch.Tensor:
    # NOTE: PyTorch's own function enlarges a storage that is too small, and leaves what it adds undefined.
    numbers = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return numbers.as_strided(size, stride, offset)


def _parameter(data: torch.Tensor, *_: object) -> torch.Tensor:
    return data


_REBUILD: Mapping[str, Callable[..., Any]] = {
    "_rebuild_tensor_v2": _tensor,
    "_rebuild_parameter": _parameter,
    "_rebuild_parameter_with_state": _parameter,
}
_GLOBALS: Globals = {
    **pickled.ARRAYS,
    **{f"torch._utils.{name}": function for name, function in _REBUILD.items()},
    "torch.storage._load_from_bytes": _storage,
    "torch_utils.persistence._reconstruct_persistent_obj": _Persistent,
    "dnnlib.util.EasyDict": dict,
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
}
