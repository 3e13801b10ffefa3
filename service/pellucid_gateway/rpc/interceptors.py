"""Around every call: the contract's rules before it, a status for whatever goes wrong, a line in the log after it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message
from grpc_status import rpc_status

from pellucid_gateway import errors
from pellucid_gateway.rpc import validation
from pellucid_gateway.rpc.status import status_of, unforeseen

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
OURS = "/pellucid."

_log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of our own services, each once."""

    def __init__(self) -> None:
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
        return self._wrapped.setdefault(method, _wrapped(handler, method))


def _wrapped(handler: "grpc.RpcMethodHandler[Any, Any]", method: str) -> Handler:
    codec = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(_stream_stream(handler.stream_stream, method), **codec)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(_unary_stream(handler.unary_stream, method), **codec)
    return grpc.unary_unary_rpc_method_handler(_unary_unary(handler.unary_unary, method), **codec)


def _unary_unary(call: Any, method: str) -> Any:
    async def serve(request: Message, context: Context) -> Message:
        async with _Guard(method, context, request):
            validation.check(request)
            answer: Message = await call(request, context)
            return answer
        raise AssertionError("unreachable: a guard that catches an error aborts the call")

    return serve


def _unary_stream(call: Any, method: str) -> Any:
    async def serve(request: Message, context: Context) -> AsyncIterator[Message]:
        async with _Guard(method, context, request):
            validation.check(request)
            async for response in call(request, context):
                yield response

    return serve


def _stream_stream(call: Any, method: str) -> Any:
    # What a stream's message breaks may be the fault of one item alone: the servicers check them.
    async def serve(requests: AsyncIterator[Message], context: Context) -> AsyncIterator[Message]:
        async with _Guard(method, context):
            async for response in call(requests, context):
                yield response

    return serve


class _Guard:
    """Turns what a call raises into its status, and logs how it ended."""

    def __init__(self, method: str, context: Context, request: Message | None = None):
        self._method = method
        self._request_id = _identify(request)
        self._context = context
        self._started = time.monotonic()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._log("OK")
        elif isinstance(error, errors.GatewayError):
            self._log(type(error).__name__, reason=str(error))
            await self._context.abort_with_status(rpc_status.to_status(status_of(error)))
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._log("CANCELLED")
        else:
            _log.error("unforeseen error", method=self._method, request_id=self._request_id, exc_info=error)
            await self._context.abort_with_status(rpc_status.to_status(unforeseen()))

    def _log(self, outcome: str, **facts: str) -> None:
        duration_ms = round((time.monotonic() - self._started) * 1e3, 3)
        known = {"method": self._method, "request_id": self._request_id, "duration_ms": duration_ms}
        _log.debug("call", outcome=outcome, **known, **facts)


def _identify(request: Any) -> str:
    """Give a request's id, and one of ours to a request that brought none."""
    if request is None or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return secrets.token_hex(16)
    request.request_id = request.request_id or secrets.token_hex(16)
    return str(request.request_id)
