"""Triton backend `pytorch`: serves the TorchScript file `model.pt` on the CPU.

Stands in for NVIDIA's backend of that name: inputs are passed, and outputs taken, in the order of
config.pbtxt. It reads these of its parameters: `INTRA_OP_THREAD_COUNT`, `INTER_OP_THREAD_COUNT`,
`INFERENCE_MODE`, `DISABLE_OPTIMIZED_EXECUTION`. It passes over all others.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
from batching import (  # type: ignore[import-not-found]
    BatchingModel,
    Tensors,
    model_file,
    parameter,
    threads_per_instance,
)


class TritonPythonModel(BatchingModel):  # type: ignore[misc]
    """One instance of a model: a TorchScript module."""

    def __init__(self) -> None:
        """Leave everything to `initialize`, which is given the configuration."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the module."""
        config = json.loads(args["model_config"])
        super().__init__(config)
        default = threads_per_instance(config)
        torch.set_num_threads(int(parameter(config, "INTRA_OP_THREAD_COUNT", str(default))))
        torch.set_num_interop_threads(int(parameter(config, "INTER_OP_THREAD_COUNT", "1")))
        self._is_inference_mode = parameter(config, "INFERENCE_MODE", "true") == "true"
        self._is_optimized = parameter(config, "DISABLE_OPTIMIZED_EXECUTION", "false") != "true"
        path = model_file(args, config, "model.pt")
        self._module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> list[Any]:
        """Run the module once."""
        arguments = [torch.from_numpy(inputs[name]) for name in self.input_names if name in inputs]
        optimized = torch.jit.optimized_execution(self._is_optimized)  # type: ignore[attr-defined]
        with torch.inference_mode(self._is_inference_mode), optimized:
            answer = self._module(*arguments)
        values = answer if isinstance(answer, (tuple, list)) else (answer,)
        if len(values) != len(self.output_names):
            raise ValueError(f"config.pbtxt names {len(self.output_names)} outputs, the module gives {len(values)}")
        named = dict(zip(self.output_names, values, strict=True))
        return [named[name].detach().contiguous().numpy() for name in outputs]
