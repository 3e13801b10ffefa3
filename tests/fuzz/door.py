"""A gateway asked by bytes, and what is wrong with its answers."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2

from pellucid_client.final_status import FinalStatus
from pellucid_gateway.gateway import Gateway
from pellucid_gateway.rpc.server import MAX_MESSAGE_BYTES
from tests.fuzz.methods import path
from tests.fuzz.tally import Tally
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

TIMEOUT_S = 10.0
SETTLE_S = 2.0
ENOUGH = 8
"""Messages of a stream that are read before the call is given up."""

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.OUT_OF_RANGE,
}
OUR_FAULTS = {code_pb2.INTERNAL, code_pb2.UNKNOWN, code_pb2.DEADLINE_EXCEEDED}


@dataclass(frozen=True)
class Reply:
    """What came back of a call; `refusal` is None for one that was answered, or given up after enough answers."""

    answers: Sequence[bytes]
    refusal: Refusal | None
    told: bytes = b""

    @property
    def everything(self) -> bytes:
        """All that its caller was told."""
        return b"".join(self.answers) + self.told


class Door:
    """Asks a gateway over a channel and counts what becomes of it."""

    def __init__(self, served: Gateway, channel: grpc.aio.Channel, tally: Tally):
        self._served = served
        self._channel = channel
        self._tally = tally
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self, method: MethodDescriptor, sent: Sequence[bytes], key: str) -> Reply:
        """Ask, and raise AssertionError about what must not be."""
        self._tasks = self._tasks or asyncio.all_tasks()
        reply = await self._reply(path(method), sent, key)
        faults = list(_faults(method, sent, reply))
        self._tally.failed += bool(faults)
        self._tally.answered += not faults and reply.refusal is None
        self._tally.refused += not faults and reply.refusal is not None
        assert not faults, (method.name, faults, sent)
        return reply

    async def settle(self) -> None:
        """Wait until nothing is held any more and no task is left of any call."""
        try:
            async with asyncio.timeout(SETTLE_S):
                while self._held() or self._left():  # noqa: ASYNC110 - nobody sets an event
                    await asyncio.sleep(0.001)
        except TimeoutError:
            self._tally.failed += 1
            raise AssertionError(f"still held: {self._held()}, {self._left()}") from None

    def _held(self) -> dict[str, int]:
        admission = self._served.admission
        return {one.what: one.used for one in (admission.calls, admission.images, admission.bytes) if one.used}

    def _left(self) -> set[str]:
        left = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        # The server itself waits for the next call.
        return {repr(task) for task in left if not _name(task).startswith("AioServer.")}

    async def _reply(self, name: str, sent: Sequence[bytes], key: str) -> Reply:
        # On the wire a unary call is a stream of one message.
        call: Any = self._channel.stream_stream(name)(iter(sent), timeout=TIMEOUT_S, metadata=(("x-api-key", key),))
        final, answers = FinalStatus(call), list[bytes]()
        try:
            async for answer in call:
                answers.append(answer)
                if len(answers) == ENOUGH:
                    call.cancel()
                    break
        except grpc.aio.AioRpcError as raised:
            error = await final.of(raised)
            trailers = repr(tuple(error.trailing_metadata() or ())).encode()
            return Reply(answers, refusal(error), trailers + str(error.details()).encode())
        return Reply(answers, None)


def _name(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", ""))


def _faults(method: MethodDescriptor, sent: Sequence[bytes], reply: Reply) -> Iterator[str]:
    if told := reply.refusal:
        # What is too large never gets past gRPC itself.
        is_too_large = max(map(len, sent), default=0) > MAX_MESSAGE_BYTES
        if told.code not in REFUSALS or not (told.reason or is_too_large):
            yield f"{told.code}, reason {told.reason!r}: {told.message}"
    for answer in reply.answers:
        if len(answer) > MAX_MESSAGE_BYTES:
            yield f"an answer of {len(answer)} bytes"
        message = message_factory.GetMessageClass(method.output_type).FromString(answer)
        yield from (f"{status}" for status in _statuses(message) if status.code in OUR_FAULTS or not status.details)


def _statuses(answer: Message) -> Iterator[status_pb2.Status]:
    """The statuses of a stream's items."""
    for one in (answer, *getattr(answer, "results", ())):
        if "error" in one.DESCRIPTOR.fields_by_name and one.HasField("error"):
            yield one.error
