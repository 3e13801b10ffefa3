"""Around every call: the contract's rules before it, a status for whatever goes wrong, a line in the log after it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message
from grpc_status import rpc_status

from pellucid_gateway import errors
from pellucid_gateway.admission import Admission
from pellucid_gateway.rpc import validation
from pellucid_gateway.rpc.status import status_of, unforeseen

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
OURS = "/pellucid."

_log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of our own services, each once."""

    def __init__(self, admission: Admission) -> None:
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
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
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
                return answer
            raise AssertionError("unreachable: a guard that catches an error aborts the call")

        return serve

    def _unary_stream(self, call: Any, method: str) -> Any:
        async def serve(request: Message, context: Context) -> AsyncIterator[Message]:
            async with self._guarded(method, context, request):
                validation.check(request)
                async for response in call(request, context):
                    yield response

        return serve

    def _stream_stream(self, call: Any, method: str) -> Any:
        # What a stream's message breaks may be the fault of one item alone: the servicers check them.
        async def serve(requests: AsyncIterator[Message], context: Context) -> AsyncIterator[Message]:
            async with self._guarded(method, context):
                async for response in call(requests, context):
                    yield response

        return serve

    @asynccontextmanager
    async def _guarded(self, method: str, context: Context, request: Message | None = None) -> AsyncIterator[None]:
        """Count the call, turn what it raises into its status, and log how it ended."""
        log = _log.bind(method=method, request_id=_identify(request))
        started = time.monotonic()
        try:
            with self._admission.call():
                yield
        except errors.GatewayError as error:
            log.debug("call", outcome=type(error).__name__, reason=str(error), duration_ms=_since(started))
            await context.abort_with_status(rpc_status.to_status(status_of(error)))
        except (asyncio.CancelledError, GeneratorExit):
            log.debug("call", outcome="CANCELLED", duration_ms=_since(started))
            raise
        except Exception as error:
            log.error("unforeseen error", exc_info=error)
            await context.abort_with_status(rpc_status.to_status(unforeseen()))
        else:
            log.debug("call", outcome="OK", duration_ms=_since(started))


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1e3, 3)


def _identify(request: Any) -> str:
    """Give a request's id, and one of ours to a request that brought none."""
    if request is None or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return secrets.token_hex(16)
    request.request_id = request.request_id or secrets.token_hex(16)
    return str(request.request_id)
