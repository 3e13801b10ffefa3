from collections.abc import Callable

import grpc
import pytest

from pellucid_client.final_status import FinalStatus

MADE_UP = (grpc.StatusCode.INTERNAL, "Internal error from Core")
LOST = (grpc.StatusCode.UNAVAILABLE, "gone")
Status = tuple[grpc.StatusCode, str]


class Call:
    """A call whose status may change, as one of grpc.aio does."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[object], None]] = []
        self.status: Status = (grpc.StatusCode.OK, "")
        self.looks = 0
        self.after_looks: dict[int, Status] = {}

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self._callbacks.append(callback)

    def end(self, status: Status) -> None:
        self.status, callbacks = status, self._callbacks
        self._callbacks = []
        for callback in callbacks:
            callback(self)

    async def code(self) -> grpc.StatusCode:
        self.looks += 1
        self.status = self.after_looks.get(self.looks, self.status)
        return self.status[0]

    async def details(self) -> str:
        return self.status[1]

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata(("key", "value"))


def raised(status: Status) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(status[0], grpc.aio.Metadata(), grpc.aio.Metadata(), status[1])


def told(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str | None]:
    return error.code(), error.details()


@pytest.fixture
def call() -> Call:
    return Call()


async def test_the_gateway_s_status_is_kept_when_another_is_made_up_after_it(call: Call) -> None:
    status = FinalStatus(call)
    call.end(LOST)
    call.end(MADE_UP)
    error = await status.of(raised(MADE_UP))
    assert told(error) == LOST
    assert dict(error.trailing_metadata()) == {"key": "value"}


async def test_the_gateway_s_status_is_awaited_when_another_was_made_up_before_it(call: Call) -> None:
    status = FinalStatus(call)
    call.after_looks = {4: LOST}
    call.end(MADE_UP)
    assert told(await status.of(raised(MADE_UP))) == LOST
    assert call.looks == 4


async def test_a_status_that_never_comes_is_not_awaited_for_ever(call: Call) -> None:
    status = FinalStatus(call)
    call.end(MADE_UP)
    error = raised(MADE_UP)
    assert await status.of(error) is error


async def test_any_other_error_is_what_it_is(call: Call) -> None:
    status = FinalStatus(call)
    call.end(LOST)
    error = raised((grpc.StatusCode.INTERNAL, "the gateway's own"))
    assert await status.of(error) is error
