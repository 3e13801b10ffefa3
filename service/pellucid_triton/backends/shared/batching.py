"""What our python-based backends share: many requests, one run of the network, each its own rows.

1. Requests are grouped by the names, types and shapes (without the batch axis) of their inputs.
2. A group is concatenated, run once and split. A group of one is neither concatenated nor copied.
3. When a merged run fails, its members are run one by one, so that only those at fault get an error.

NOTE: nobody asks `request.is_cancelled()` here. Triton drops what is cancelled while it is queued; the
question would catch the microseconds after that, for 0.06 ms a request (a round trip to the server).

Runs inside Triton's Python backend, in the server's own environment (numpy < 2).
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

Tensors = dict[str, Any]


class RequestError(Exception):
    """The request's values cannot be used; the message goes to the client."""


class _Member(NamedTuple):
    position: int
    inputs: Tensors
    outputs: tuple[str, ...]
    rows: int


class BatchingModel(ABC):
    """Turns Triton's `execute` into runs of a network; a backend supplies `run`."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.input_names = [tensor["name"] for tensor in config["input"]]
        self.output_names = [tensor["name"] for tensor in config["output"]]
        self._is_batched = config["max_batch_size"] > 0

    @abstractmethod
    def run(self, inputs: Tensors, outputs: Sequence[str]) -> list[Any]:
        """Run the network once and return the named outputs; raises RequestError for unusable values."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests, in their order."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Any, list[_Member]] = {}
        for position, request in enumerate(requests):
            member = self._member(position, request)
            groups.setdefault(self._kind(member), []).append(member)
        for members in groups.values():
            for member, response in zip(members, self._answers(members), strict=True):
                responses[member.position] = response
        return responses

    def _member(self, position: int, request: Any) -> _Member:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        rows = next(iter(inputs.values())).shape[0] if self._is_batched else 1
        requested = set(request.requested_output_names())
        outputs = tuple(name for name in self.output_names if name in requested)
        return _Member(position, inputs, outputs, rows)

    def _kind(self, member: _Member) -> Any:
        if not self._is_batched:
            return member.position
        return frozenset((name, value.dtype.str, value.shape[1:]) for name, value in member.inputs.items())

    def _answers(self, members: list[_Member]) -> list[Any]:
        if len(members) > 1:
            try:
                return self._merged(members)
            except Exception as error:
                pb_utils.Logger.log_warn(f"a batch of {len(members)} requests is repeated one by one: {error}")
        return [self._alone(member) for member in members]

    def _merged(self, members: list[_Member]) -> list[Any]:
        wanted = [name for name in self.output_names if any(name in member.outputs for member in members)]
        inputs = {name: np.concatenate([member.inputs[name] for member in members]) for name in members[0].inputs}
        values = dict(zip(wanted, self.run(inputs, wanted), strict=True))
        ends = np.cumsum([member.rows for member in members])
        for name, value in values.items():
            if len(value) != ends[-1]:
                raise ValueError(f"output {name} has {len(value)} rows for {ends[-1]} of input")
        return [
            _success({name: values[name][end - member.rows : end] for name in member.outputs})
            for member, end in zip(members, ends, strict=True)
        ]

    def _alone(self, member: _Member) -> Any:
        try:
            values = self.run(member.inputs, member.outputs)
        except RequestError as error:
            return _failure(pb_utils.TritonError.INVALID_ARG, str(error))
        except Exception as error:
            return _failure(pb_utils.TritonError.INTERNAL, str(error))
        return _success(dict(zip(member.outputs, values, strict=True)))


def model_file(args: dict[str, str], config: dict[str, Any], default: str) -> Path:
    """Return the path of the network of the version that is being loaded."""
    name = config.get("default_model_filename") or default
    return Path(args["model_repository"]) / args["model_version"] / name


def parameter(config: dict[str, Any], name: str, default: str) -> str:
    """Return a parameter of config.pbtxt."""
    return str(config.get("parameters", {}).get(name, {}).get("string_value", default))


def threads_per_instance(config: dict[str, Any]) -> int:
    """Return the cores that the launcher allows, divided by the model's instances; at least 1."""
    instances = sum(group.get("count", 1) for group in config.get("instance_group", [])) or 1
    return max(1, int(os.environ["PELLUCID_TRITON_THREADS"]) // instances)


def _success(values: Tensors) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in values.items()])


def _failure(code: Any, message: str) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
