"""Triton Inference Server over gRPC, with raw tensors.

NOTE: tritonclient's generated stubs are used without its client class, which copies every tensor once more each way.
"""

import re
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from pellucid_gateway.backends.base import Inference, ModelConfig, ReplicaFacts, Served, Tensor, TensorSpec
from pellucid_gateway.errors import (
    BackendUnreachable,
    DeadlineExceeded,
    GatewayError,
    InferenceFailed,
    ModelUnavailable,
    Overloaded,
)
from pellucid_gateway.telemetry import traces

RETRY_AFTER_S = 0.5
LOAD_TIMEOUT_S = 600.0
"""Seconds that loading a model may take: some providers compile it first."""

FIRST_SAFE_CANCELLATION = (2, 57)
"""First Triton that survives a cancelled request (triton-inference-server/server pull request 8078, release 25.04)."""

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class TritonBackend:
    """One Triton at `address` (`host:port`). An answer is awaited for at most `timeout_s` seconds."""

    replica_count = 1

    def __init__(self, address: str, timeout_s: float):
        self._address = address
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._server_version = (0, 0)

    @property
    def cancels_safely(self) -> bool:
        """Whether this Triton is known to survive a cancelled request."""
        return self._server_version >= FIRST_SAFE_CANCELLATION

    def replicas(self) -> Sequence[ReplicaFacts]:
        """Tell of none but itself."""
        return ()

    async def served(self) -> list[Served]:
        """List all models and versions in Triton's repository."""
        try:
            metadata = await self._stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=self._timeout_s)
            index = await self._stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise translate(error, "", self._address) from error
        self._server_version = _version(metadata.version)
        return [Served(m.name, m.version, m.state == "READY", m.reason) for m in index.models]

    async def config(self, model: str) -> ModelConfig:
        """Describe a model that has a ready version."""
        try:
            request = service_pb2.ModelConfigRequest(name=model)
            config = (await self._stub.ModelConfig(request, timeout=self._timeout_s)).config
        except grpc.aio.AioRpcError as error:
            raise translate(error, model, self._address) from error
        return ModelConfig(
            inputs={tensor.name: _spec(tensor) for tensor in config.input},
            outputs={tensor.name: _spec(tensor) for tensor in config.output},
            max_batch_size=config.max_batch_size,
            parameters={key: value.string_value for key, value in config.parameters.items()},
        )

    async def infer(self, inference: Inference) -> dict[str, Tensor]:
        """Compute one batch; the outputs are read-only views of the answer."""
        try:
            response = await self._stub.ModelInfer(
                _request(inference), timeout=self._timeout_s, metadata=traces.headers()
            )
        except grpc.aio.AioRpcError as error:
            raise translate(error, inference.model, self._address) from error
        return {
            tensor.name: np.frombuffer(raw, triton_to_np_dtype(tensor.datatype)).reshape(tuple(tensor.shape))
            for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }

    async def load(self, model: str) -> None:
        """Load or reload a model. Triton unloads versions that are no longer wanted when the new ones are ready."""
        try:
            await self._stub.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name=model), timeout=LOAD_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            failure = translate(error, model, self._address)
            if isinstance(failure, BackendUnreachable):
                raise failure from error
            raise ModelUnavailable(model, f"Triton at {self._address} did not load it: {error.details()}") from error

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def translate(error: grpc.aio.AioRpcError, model: str, address: str) -> GatewayError:
    """Say in the gateway's words what Triton answered. Triton tells several things apart by the message alone."""
    code, message = error.code(), error.details() or ""
    if "Exceeds maximum queue size" in message:
        return Overloaded(f"Triton's queue for {model!r} is full", RETRY_AFTER_S, "backend")
    if "Request timeout expired" in message:
        return DeadlineExceeded(f"the deadline passed in Triton's queue for {model!r}")
    if "unknown model" in message or "is not ready" in message or code == grpc.StatusCode.NOT_FOUND:
        return ModelUnavailable(model, message)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return BackendUnreachable(f"Triton at {address} does not answer")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return BackendUnreachable(f"Triton at {address} did not answer in time")
    return InferenceFailed(f"Triton could not run {model!r}: {message}")


def _request(inference: Inference) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=inference.model, model_version=inference.version)
    for name, tensor in inference.inputs.items():
        request.inputs.add(name=name, datatype=np_to_triton_dtype(tensor.dtype), shape=tensor.shape)
        request.raw_input_contents.append(tensor.tobytes())
    for name in inference.outputs:
        request.outputs.add(name=name)
    if inference.priority:
        request.parameters["priority"].uint64_param = inference.priority
    if inference.timeout_s is not None:
        request.parameters["timeout"].int64_param = max(1, int(inference.timeout_s * 1e6))
    return request


def _spec(tensor: Any) -> TensorSpec:
    kind = triton_to_np_dtype(model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_"))
    return TensorSpec(np.dtype(kind or object).name, tuple(tensor.dims))


def _version(text: str) -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", text)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
