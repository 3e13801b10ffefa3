"""The one connection of a client."""

from functools import cached_property

import grpc

from pellucid.v1 import (
    analysis_service_pb2_grpc,
    generation_service_pb2_grpc,
    model_service_pb2_grpc,
    translation_service_pb2_grpc,
)

_OPTIONS = (
    # The contract keeps messages within 4 MB, gRPC's default; the margin is for gateways with other limits.
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A gateway that restarts is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Connection:
    """A channel and its stubs, opened at the first use, inside the event loop that uses them."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.target = target
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None

    @cached_property
    def models(self) -> "model_service_pb2_grpc.ModelServiceAsyncStub":
        """What is served."""
        return model_service_pb2_grpc.ModelServiceStub(self._opened())

    @cached_property
    def generation(self) -> "generation_service_pb2_grpc.GenerationServiceAsyncStub":
        """Images from latents."""
        return generation_service_pb2_grpc.GenerationServiceStub(self._opened())

    @cached_property
    def analysis(self) -> "analysis_service_pb2_grpc.AnalysisServiceAsyncStub":
        """Labels of images."""
        return analysis_service_pb2_grpc.AnalysisServiceStub(self._opened())

    @cached_property
    def translation(self) -> "translation_service_pb2_grpc.TranslationServiceAsyncStub":
        """Images from images or label maps."""
        return translation_service_pb2_grpc.TranslationServiceStub(self._opened())

    async def close(self) -> None:
        """Close the channel; what is in flight is cancelled."""
        if self._channel is not None:
            await self._channel.close()

    def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = (
                grpc.aio.insecure_channel(self.target, options=_OPTIONS)
                if self._credentials is None
                else grpc.aio.secure_channel(self.target, self._credentials, options=_OPTIONS)
            )
        return self._channel
