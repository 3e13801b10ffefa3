"""The status that a gateway ends a call with.

NOTE: where a call ends while a request of a stream is being written, grpc.aio makes up a status of its own, INTERNAL
(grpc/grpc#36066): a refusal would be read as a fault, and a break would not be repeated. The made-up status may come
after the gateway's, which a callback has heard of by then, or before it, and then the gateway's soon takes its place.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

T = TypeVar("T")

_MADE_UP = "Internal error from Core"
_WAIT_S = 1.0
_POLL_S = 0.01


class FinalStatus:
    """Remembers the first status of a call; to be made when the call is."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[Any, Any]") -> None:
        self._call = call
        self._first: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._remember)

    async def of(self, raised: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return the error that the gateway ended the call with, in the place of the one that was raised."""
        if raised.details() != _MADE_UP:
            return raised
        if self._first is not None:
            return self._first
        end = asyncio.get_running_loop().time() + _WAIT_S
        while asyncio.get_running_loop().time() < end:
            told = _error(self._call)
            if told is not None:
                return told
            await asyncio.sleep(_POLL_S)
        return raised

    def _remember(self, _: object) -> None:
        self._first = _error(self._call)


def _error(call: Any) -> grpc.aio.AioRpcError | None:
    """Return the error of a call that is done; None where its status is made up."""
    code, details = _at_once(call.code()), _at_once(call.details())
    trailing = _at_once(call.trailing_metadata())
    if code is None or trailing is None or code is grpc.StatusCode.OK or details == _MADE_UP:
        return None
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details)


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Return what a coroutine gives without waiting, as those of a call that is done do; None where it would wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    return None
