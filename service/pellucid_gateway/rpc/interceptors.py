"""Around every call: the contract's rules before it, a status for whatever goes wrong, a line in the log after it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from grpc_status import rpc_status

from pellucid_gateway import errors
from pellucid_gateway.admission import Admission
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.caller import current
from pellucid_gateway.rpc import validation
from pellucid_gateway.rpc.authentication import admit
from pellucid_gateway.rpc.status import status_of, unforeseen
from pellucid_gateway.telemetry import metrics
from pellucid_gateway.telemetry.calls import Call

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
OURS = "/pellucid."

_log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of our own services, each once."""

    def __init__(self, authenticator: Authenticator, admission: Admission) -> None:
        self._authenticator = authenticator
        self._admission = admission
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler that would serve the call."""
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(OURS):
            return handler
        return self._wrapped.setdefault(method, self._wrap(handler, method))

    def _wrap(self, handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
        codec: dict[str, Any] = {
            "request_deserializer": metrics.receiving(method, _tolerant(handler.request_deserializer)),
            "response_serializer": metrics.sending(method, handler.response_serializer),  # type: ignore[arg-type]
        }
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream_stream(handler.stream_stream, method), **codec)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._unary_stream(handler.unary_stream, method), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary_unary(handler.unary_unary, method), **codec)

    def _unary_unary(self, call: Any, method: str) -> Any:
        async def serve(request: Message, context: Context) -> Message:
            async with self._guarded(method, context, request):
                validation.check(request)
                answer: Message = await call(request, context)
                self._charge(answer)
                return answer
            raise AssertionError("unreachable: a guard that catches an error aborts the call")

        return serve

    def _unary_stream(self, call: Any, method: str) -> Any:
        async def serve(request: Message, context: Context) -> AsyncIterator[Message]:
            async with self._guarded(method, context, request):
                validation.check(request)
                async for response in call(request, context):
                    self._charge(response)
                    yield response

        return serve

    def _stream_stream(self, call: Any, method: str) -> Any:
        # What a stream's message breaks may be the fault of one item alone: the servicers check them.
        async def serve(requests: AsyncIterator[Message], context: Context) -> AsyncIterator[Message]:
            async with self._guarded(method, context):
                async for response in call(self._charged(requests), context):
                    self._charge(response)
                    yield response

        return serve

    async def _charged(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self._receive(request)
            yield request

    def _receive(self, request: Message | DecodeError) -> None:
        if isinstance(request, DecodeError):
            raise errors.invalid("request", str(request))
        self._charge(request)

    def _charge(self, message: Message) -> None:
        self._admission.quotas.charge(current.get(), message.ByteSize())

    @asynccontextmanager
    async def _guarded(
        self, method: str, context: Context, request: Message | DecodeError | None = None
    ) -> AsyncIterator[None]:
        """Count the call, turn what it raises into its status, and log how it ended."""
        call = Call(
            method, _identify(request), context.invocation_metadata() or (), model=getattr(request, "model", "")
        )
        try:
            call.caller = await admit(self._authenticator, method, context)
            with self._admission.call():
                if request is not None:
                    self._receive(request)
                yield
        except errors.GatewayError as error:
            if isinstance(error, errors.Overloaded | errors.QuotaExceeded):
                metrics.shed(error.reason, call.caller.kind)
            status = status_of(error)
            call.end(code_pb2.Code.Name(status.code), str(error))
            await context.abort_with_status(rpc_status.to_status(status))
        except (asyncio.CancelledError, GeneratorExit):
            call.end("CANCELLED")
            raise
        except Exception as error:
            _log.error("unforeseen error", exc_info=error)
            call.end("INTERNAL", type(error).__name__)
            await context.abort_with_status(rpc_status.to_status(unforeseen()))
        else:
            call.end("OK")


def _tolerant(deserialize: Any) -> Callable[[bytes], Message | DecodeError]:
    """Give a deserializer that returns what is wrong with bytes that are no message.

    NOTE: what a deserializer raises, grpc.aio takes for the server's own failure.
    """

    def read(data: bytes) -> Message | DecodeError:
        try:
            message: Message = deserialize(data)
        except DecodeError as error:
            return error
        return message

    return read


def _identify(request: Any) -> str:
    """Give a request's id, and one of ours to a request that brought none."""
    if request is None or isinstance(request, DecodeError) or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return secrets.token_hex(16)
    request.request_id = request.request_id or secrets.token_hex(16)
    return str(request.request_id)
