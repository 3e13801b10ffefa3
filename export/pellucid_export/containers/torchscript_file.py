"""TorchScript files of somebody else, read without trusting them.

A TorchScript file holds a program in a language of its own, whose operators can do two things beside computing: read
files and write them. No program that could do either is run, nor one that would run while it is read.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pellucid_export import torchscript
from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.convention import Argument
from pellucid_export.networks.foreign_module import ForeignModule, check_finite

_ZIP = b"PK\x03\x04"
_SPACES = ("aten", "prim")
_REFUSED = ("aten::save", "aten::from_file")
# Programs that run beside `forward`, where its operators do not show them.
_BESIDE = (b"__setstate__", b"__forward_pre_hooks__", b"__forward_hooks__")
# Calls whose target is known only when they are made.
_OPAQUE = ("prim::CallMethod", "prim::CallFunction", "prim::PythonOp", "prim::fork", "prim::awaitable")
# Numbers that tell classes of one name apart, which depend on what else was compiled.
_MANGLING = re.compile(rb"\.?___torch_mangle_\d+")


def read(path: Path) -> ForeignModule:
    """Read a TorchScript file on the CPU.

    Raises CheckpointError for any other file, and for a program that could do more than compute; then nothing of it
    was executed.
    """
    try:
        records = _records(path)
        _check_entries(path.name, records)
        network = torchscript.read(path).eval()
        _check_operators(path.name, network.inlined_graph)
        arguments = _arguments(path.name, network)
    except CheckpointError:
        raise
    except Exception as error:
        # NOTE: torch documents no set of errors for broken files; whatever it raises is one.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path.name}: not a readable TorchScript file: {reason}") from error
    check_finite(network)
    return ForeignModule(network.float(), arguments, _digest(network, records))


def _records(path: Path) -> dict[str, bytes]:
    """The program and its constants, as the loader will see them."""
    with path.open("rb") as file:
        is_archive = file.read(len(_ZIP)) == _ZIP
    archive = torch._C.PyTorchFileReader(str(path)) if is_archive else None
    names = archive.get_all_records() if archive else []
    if archive is None or "constants.pkl" not in names:
        raise CheckpointError(
            f"{path.name}: not a TorchScript file, as torch.jit.save makes them; a state dict needs the Python that"
            " builds its network: give it with --option factory=package.module:function"
        )
    programs = [name for name in names if name.startswith("code/") and name.endswith(".py")]
    constants = [name for name in names if name.startswith("constants")]
    return {name: archive.get_record(name) for name in (*programs, *constants)}


def _check_entries(file: str, records: Mapping[str, bytes]) -> None:
    for word in _BESIDE:
        if any(word in record for record in records.values()):
            raise CheckpointError(
                f"{file}: refused, a part of it runs outside of forward ({word.decode()}); nothing of it was executed"
            )


def _check_operators(file: str, graph: Any) -> None:
    for kind in sorted(set(_kinds(graph))):
        if kind.split("::")[0] not in _SPACES or kind in (*_REFUSED, *_OPAQUE):
            raise CheckpointError(f"{file}: refused, it calls {kind}; nothing of it was executed")


def _kinds(graph: Any) -> Iterator[str]:
    for node in graph.nodes():
        yield node.kind()
        inner = [node.g("Subgraph")] if node.hasAttribute("Subgraph") else []
        for block in (*node.blocks(), *inner):
            yield from _kinds(block)


def _arguments(file: str, network: Any) -> tuple[Argument, ...]:
    arguments = []
    for argument in network.forward.schema.arguments[1:]:
        is_tensor = str(argument.type) in ("Tensor", "Optional[Tensor]")
        if not is_tensor and not argument.has_default_value():
            raise CheckpointError(
                f"{file}: forward takes {argument.name}: {argument.type}; every input must be a tensor with a row for"
                " each image, so that requests can share a batch"
            )
        if is_tensor:
            arguments.append(Argument(argument.name, is_optional=argument.has_default_value()))
    return tuple(arguments)


def _digest(network: torch.jit.ScriptModule, records: Mapping[str, bytes]) -> str:
    """SHA-256 over the weights and the program; it depends neither on the file's name nor on class numbers."""
    total = hashlib.sha256(checkpoints.digest(network.state_dict()).encode())
    for content in sorted(_MANGLING.sub(b"", record) for record in records.values()):
        total.update(hashlib.sha256(content).digest())
    return f"sha256:{total.hexdigest()}"
