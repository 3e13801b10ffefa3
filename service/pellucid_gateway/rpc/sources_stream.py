"""A stream of sources: read as there is room for them, translated together, answered one by one.

    reader: message -> lease of its bytes -> its further parts -> a task      answers: the next done task -> responses

A lease is given back when its answer was taken, so that a slow client holds its own stream back and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_gateway.clock import Clock
from pellucid_gateway.errors import GatewayError, invalid
from pellucid_gateway.rpc import status, validation
from pellucid_gateway.rpc.chunks import MESSAGE_BYTES
from pellucid_gateway.translation import Item, Made, Order, Translation

MAX_SOURCE_BYTES = 64 * 2**20
"""Bytes of an image that comes in several messages."""

Requests = AsyncIterator[pb.StreamTranslateRequest]

_log = structlog.get_logger()


@dataclass
class _Pending:
    """An item under way, with the lease of its bytes."""

    index: int
    made: "asyncio.Future[Made]"
    lease: AsyncExitStack


class SourcesStream:
    """Translates a stream's sources; items without targets of their own go to the `default` ones."""

    def __init__(self, translation: Translation, order: Order, default: Sequence[pb.Target], *, in_order: bool):
        self._translation = translation
        self._order = order
        self._default = default
        self._in_order = in_order
        # Enough to fill the batches that are at Triton, and those that form meanwhile.
        self._places = asyncio.Semaphore(4 * order.served.card.max_batch_size)
        self._answers: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._under_way: set[asyncio.Future[Made]] = set()
        self._leases: set[AsyncExitStack] = set()

    async def answers(self, requests: Requests) -> AsyncGenerator[pb.StreamTranslateResponse]:
        """Give the answers to all items."""
        reader = asyncio.create_task(self._read(requests))
        try:
            while (pending := await self._answers.get()) is not None:
                async with pending.lease:
                    for response in await _responses(pending):
                        yield response
                self._under_way.discard(pending.made)
                self._leases.discard(pending.lease)
                self._places.release()
            await reader
        finally:
            reader.cancel()
            for made in self._under_way:
                made.cancel()
            await asyncio.gather(reader, *self._under_way, return_exceptions=True)
            # Of items that nobody is told of any more, or whose further parts did not come.
            for lease in self._leases:
                await lease.aclose()

    async def _read(self, requests: Requests) -> None:
        try:
            index = 0
            async for request in requests:
                await self._places.acquire()
                pending = _Pending(index, *await self._begun(request, requests))
                self._under_way.add(pending.made)
                if self._in_order:
                    self._answers.put_nowait(pending)
                else:
                    pending.made.add_done_callback(lambda _, one=pending: self._answers.put_nowait(one))  # type: ignore[misc]
                index += 1
            if not self._in_order:
                await asyncio.gather(*self._under_way, return_exceptions=True)
                await asyncio.sleep(0)  # the callbacks that hand over the last answers come first
        finally:
            self._answers.put_nowait(None)

    async def _begun(
        self, request: pb.StreamTranslateRequest, requests: Requests
    ) -> tuple["asyncio.Future[Made]", AsyncExitStack]:
        """Start an item as soon as there is room for it; one that is at fault has failed already."""
        if not request.HasField("item"):
            raise invalid(request.WhichOneof("request") or "request", "an item is due")
        lease = AsyncExitStack()
        self._leases.add(lease)
        missing = request.item.source.image.data_size - len(request.item.source.image.data)
        try:
            validation.check(request)
            _check_size(request.item.source.image.data_size)
            item = Item(request.item.source, request.item.targets or self._default)
            await lease.enter_async_context(self._translation.room_for(self._order, item))
        except GatewayError as error:
            await _further(requests, missing, keep=False)
            return _failed(error), lease
        if missing > 0:
            image = request.item.source.image
            image.data += await _further(requests, missing, keep=True)
        return asyncio.create_task(self._translation.streamed(self._order, item, Clock.start())), lease


async def _further(requests: Requests, missing: int, *, keep: bool) -> bytes:
    """Read the parts of an image that are missing. Raises InvalidRequest where something else comes, or too much."""
    parts = []
    while missing > 0:
        request = await anext(requests, None)
        if request is None or not request.HasField("more"):
            raise invalid("more", f"{missing} bytes of the last item's image are due")
        missing -= len(request.more)
        if missing < 0 or not request.more:
            raise invalid("more", "not as many bytes as the item's data_size says")
        if keep:
            parts.append(request.more)
    return b"".join(parts)


async def _responses(pending: _Pending) -> Iterator[pb.StreamTranslateResponse]:
    """Wait for an item, and tell of it in messages that default clients can take."""
    try:
        made = await pending.made
    except GatewayError as error:
        return iter([pb.StreamTranslateResponse(index=pending.index, error=status.status_of(error), last=True)])
    except Exception as error:
        _log.error("unforeseen error", item=pending.index, exc_info=error)
        return iter([pb.StreamTranslateResponse(index=pending.index, error=status.unforeseen(), last=True)])
    return _messages(pending.index, made)


def _messages(index: int, made: Made) -> Iterator[pb.StreamTranslateResponse]:
    parts = [part for image in made for part in _parts(image)]
    packed = pb.StreamTranslateResponse(index=index)
    size = 0
    for part in parts:
        weight = part.ByteSize()
        if packed.images.images and size + weight > MESSAGE_BYTES:
            yield packed
            packed, size = pb.StreamTranslateResponse(index=index), 0
        packed.images.images.append(part)
        size += weight
    packed.last = True
    yield packed


def _parts(image: pb.TranslatedImage) -> Iterator[pb.TranslatedImage]:
    """Split an image that is larger than a message."""
    data = image.data
    image.data = data[:MESSAGE_BYTES]
    yield image
    for start in range(MESSAGE_BYTES, len(data), MESSAGE_BYTES):
        yield pb.TranslatedImage(target=image.target, data=data[start : start + MESSAGE_BYTES])


def _check_size(size: int) -> None:
    if size > MAX_SOURCE_BYTES:
        raise invalid("item.source.image.data_size", f"{size} bytes, and the limit is {MAX_SOURCE_BYTES}")


def _failed(error: GatewayError) -> "asyncio.Future[Made]":
    failed: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    failed.exception()  # whether or not anyone is left to hear of it
    return failed
