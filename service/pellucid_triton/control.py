"""The few calls of Triton's gRPC service that a launcher makes."""

from dataclasses import dataclass

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_OPTIONS = [
    # The server is on this machine: a proxy of the environment must not come between.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", -1),
]


@dataclass(frozen=True)
class ModelStatus:
    """What the server says of one version of a model."""

    name: str
    version: str
    """Empty where no version was ever loaded."""
    state: str
    """READY, LOADING, UNLOADING or UNAVAILABLE."""
    reason: str
    """Why it is not ready; empty when it is."""


class Control:
    """A connection to one server; calls raise grpc.RpcError."""

    def __init__(self, address: str, timeout_s: float = 10.0) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._timeout_s = timeout_s

    def is_live(self) -> bool:
        """Say whether the server answers; models named at start are loaded or have failed by then."""
        try:
            answer = self._stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=self._timeout_s)
        except grpc.RpcError:
            return False
        return bool(answer.live)

    def models(self) -> list[ModelStatus]:
        """Return every model of the repositories, loaded or not, with the reason where loading failed."""
        index = self._stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=self._timeout_s)
        return [
            ModelStatus(model.name, model.version, model.state or "UNAVAILABLE", model.reason) for model in index.models
        ]

    def load(self, model: str, timeout_s: float) -> None:
        """Load or reload a model, and wait for it."""
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        self._stub.RepositoryModelLoad(request, timeout=timeout_s)

    def unload(self, model: str) -> None:
        """Unload a model."""
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        self._stub.RepositoryModelUnload(request, timeout=self._timeout_s)

    def infer(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferResponse:
        """Run one inference."""
        return self._stub.ModelInfer(request, timeout=self._timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
