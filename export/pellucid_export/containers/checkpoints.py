"""Reading other people's files: tensors only, nothing executed, every difference named."""

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from pellucid_export.errors import CheckpointError

State = dict[str, torch.Tensor]

_WRAPPERS = ("netG_state_dict", "netG", "generator", "state_dict", "model")
_NAMED_AT_MOST = 8


def load_state(path: Path, wrappers: Sequence[str] = _WRAPPERS) -> State:
    """The state dict in a PyTorch or safetensors file, bare or under one of `wrappers`, without `module.` prefixes.

    Raises CheckpointError for a file that cannot be read, one that holds anything but tensors and plain values
    (nothing of which is executed), and one without a state dict.
    """
    content = _read(path)
    state = _unwrapped(content, wrappers)
    if not state:
        keys = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"{path.name}: no state dict, neither bare nor under {', '.join(wrappers)}; found: {keys}"
        )
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def load_strictly(module: nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    """Fill a module with a state dict of exactly its keys and shapes, in float32.

    `what` names the network in the message. Raises CheckpointError with the missing and unexpected keys and the
    differing shapes, and for weights that are not finite. A missing `num_batches_tracked` is no difference:
    files from before PyTorch 0.4.1 lack it, and inference has no use for it.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in wanted]
    shapes = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = (("missing", missing), ("unexpected", unexpected), ("shapes", shapes))
    if any(names for _, names in faults):
        report = "; ".join(f"{fault}: {_some(names)}" for fault, names in faults if names)
        raise CheckpointError(f"the weights do not fit {what}: {report}")
    infinite = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if infinite:
        raise CheckpointError(f"the weights hold values that are not finite: {_some(infinite)}")
    module.load_state_dict(dict(state), strict=not any(key not in state for key in wanted))


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the tensors in the order of their names: name, dtype, shape, bytes; `sha256:` and 64 digits.

    It depends on neither the container nor the order of keys in it.
    """
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        dtype = str(tensor.dtype).removeprefix("torch.")
        shape = "x".join(map(str, tensor.shape))
        total.update(f"{len(name)}:{name} {dtype} {shape}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"sha256:{total.hexdigest()}"


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            # Old files bring advice for those who write them.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name}: {_refusal(str(error))}") from error
    except Exception as error:
        # NOTE: torch and safetensors document no set of errors for broken files; whatever they raise is one.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path.name}: not a readable PyTorch or safetensors file: {reason}") from error


def _refusal(message: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)|(?:class|callable|function) ([\w.]+)", message)
    if found is None:
        return "not a readable checkpoint, or one that holds more than tensors; nothing of it was executed"
    name = found.group(1) or found.group(2)
    return f"refused, it holds more than tensors ({name}); nothing of it was executed"


def _unwrapped(content: Any, wrappers: Sequence[str]) -> State:
    if not isinstance(content, Mapping):
        return {}
    for wrapper in wrappers:
        if isinstance(content.get(wrapper), Mapping):
            return _unwrapped(content[wrapper], wrappers)
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
