"""Networks that a user's own Python builds, named on the command line as package.module:function."""

import hashlib
import importlib
import inspect
from pathlib import Path
from typing import Any

from torch import nn

from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.networks.convention import Argument
from pellucid_export.networks.foreign_module import ForeignModule, check_finite

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def build(name: str, weights: Path) -> ForeignModule:
    """Call the factory `name` with the weights' path: it gives an nn.Module.

    Executes the user's code. Raises FamilyError where it cannot be found, CheckpointError where it fails or gives
    anything else.
    """
    make = _find(name)
    try:
        network = make(weights)
    except Exception as error:
        raise CheckpointError(f"factory {name} failed on {weights.name}: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise CheckpointError(f"factory {name} must give an nn.Module; it gave {type(network).__name__}")
    check_finite(network)
    digest = _digest(network, make)
    return ForeignModule(network.float().eval().requires_grad_(False), _arguments(name, network), digest)


def _find(name: str) -> Any:
    module, separator, function = name.partition(":")
    if not (separator and module and function):
        raise FamilyError(f"option 'factory' must be package.module:function, not '{name}'")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise FamilyError(
            f"option 'factory': {module} cannot be imported ({error}); install it, or put its folder on PYTHONPATH"
        ) from error
    if not callable(found):
        raise FamilyError(f"option 'factory': {module} has no function '{function}'")
    return found


def _arguments(name: str, network: nn.Module) -> tuple[Argument, ...]:
    parameters = inspect.signature(network.forward).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        raise CheckpointError(f"factory {name}: the network's forward must name its inputs, it takes *args")
    return tuple(
        Argument(parameter.name, is_optional=parameter.default is not inspect.Parameter.empty)
        for parameter in parameters
        if parameter.kind not in _VARIABLE
    )


def _digest(network: nn.Module, make: Any) -> str:
    """SHA-256 over the weights and the files that define the factory and the network."""
    total = hashlib.sha256(checkpoints.digest(network.state_dict()).encode())
    for source in sorted({_source(make), _source(type(network))}):
        total.update(hashlib.sha256(source).digest())
    return f"sha256:{total.hexdigest()}"


def _source(what: Any) -> bytes:
    try:
        file = inspect.getsourcefile(what)
    except TypeError:
        return b""  # a callable object, or C
    return Path(file).read_bytes() if file else b""
