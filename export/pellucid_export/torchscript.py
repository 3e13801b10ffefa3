"""A stage as a TorchScript file: traced with two rows, frozen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from onnx import ModelProto

from pellucid_export.errors import GraphError
from pellucid_export.family import Stage
from pellucid_export.networks.folding import fold_batch_norms
from pellucid_export.samples import draw

_TRACED_ROWS = 2


def write(stage: Stage, path: Path) -> None:
    """Write the stage to `path`; its forward takes and gives tensors in the signature's order.

    Raises GraphError for a stage that is an ONNX graph, and where tracing fails.
    """
    if isinstance(stage.module, ModelProto):
        raise GraphError(f"stage '{stage.role}' is an ONNX graph and cannot become TorchScript")
    examples = draw(stage.signature, _TRACED_ROWS, seed=0)
    inputs = tuple(torch.from_numpy(examples[tensor.name]) for tensor in stage.signature.inputs)
    try:
        with torch.inference_mode(), _without_advice():
            traced = torch.jit.trace(fold_batch_norms(stage.module), inputs)  # type: ignore[no-untyped-call]
            torch.jit.freeze(traced).save(path)
    except RuntimeError as error:
        raise GraphError(f"stage '{stage.role}' cannot be traced: {error}") from error


def read(path: Path) -> torch.jit.ScriptModule:
    """Load a TorchScript file on the CPU."""
    with _without_advice():
        return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def _without_advice() -> Iterator[None]:
    """Be silent about TorchScript's deprecation in favour of torch.export, which no Triton backend serves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
        warnings.filterwarnings("ignore", r".*torch\.jit", DeprecationWarning)
        yield
