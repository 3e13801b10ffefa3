"""Sources of a stream of translations on their way up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeAlias

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.errors import Internal, InvalidRequest
from pellucid_client.message_size import check_size
from pellucid_client.translation import Translated
from pellucid_client.translation_item import TranslatableLike, TranslationItem

PART_BYTES = 2**20
"""Bytes of an image that go into one message."""

Source: TypeAlias = TranslatableLike | TranslationItem


class Upload:
    """Reads sources, sends what can be sent, and remembers which of them the gateway's numbers mean.

    `first` is the number of the first source in the caller's stream.
    """

    def __init__(self, start: pb.StreamTranslateStart, sources: Iterable[Source], first: int) -> None:
        self._start = start
        self._items = _read(sources, first)
        self._sent = 0
        self._under_way: dict[int, int] = {}
        self._refused: deque[Translated] = deque()
        self._failure: Exception | None = None

    async def messages(self) -> AsyncIterator[pb.StreamTranslateRequest]:
        """Give the stream's requests."""
        yield pb.StreamTranslateRequest(start=self._start)
        while (item := await self._next()) is not None:
            number, read = item
            if isinstance(read, InvalidRequest):
                self._refused.append(Translated(number, error=read))
                continue
            self._under_way[self._sent] = number
            self._sent += 1
            for request in read:
                yield request

    async def _next(self) -> "tuple[int, _Read] | None":
        # In a thread: sources are files, and the iterable may wait, as for a stream of this very client.
        try:
            return await asyncio.to_thread(next, self._items, None)
        except Exception as error:
            self._failure = error
            return None

    def answered(self, index: int) -> int:
        """Return the source that the gateway's item is, which needs no answer any more.

        Raises Internal where it is not under way, or, where the order is kept, an earlier one is.
        """
        due = index if self._start.unordered else next(iter(self._under_way), None)
        if index != due or index not in self._under_way:
            raise Internal(f"item {index} was answered, and the answer to {due} was due")
        return self._under_way.pop(index)

    def refused(self, before: int | None = None) -> Iterator[Translated]:
        """Give the sources that could not be sent, each once; where the order is kept, those before another."""
        any_ = before is None or self._start.unordered
        while self._refused and (any_ or self._refused[0].index < (before or 0)):
            yield self._refused.popleft()

    def raise_failure(self) -> None:
        """Raise what the caller's own iterable raised."""
        if self._failure is not None:
            raise self._failure

    def expect_all_answered(self) -> None:
        """Raise Internal where the gateway owes an answer."""
        if self._under_way:
            raise Internal(f"the stream ended before {len(self._under_way)} of its items were answered")


_Read: TypeAlias = Sequence[pb.StreamTranslateRequest] | InvalidRequest


def _read(sources: Iterable[Source], first: int) -> Iterator[tuple[int, _Read]]:
    for number, source in enumerate(sources, first):
        yield number, _requests(source, f"sources[{number}]")


def _requests(source: Source, field: str) -> _Read:
    item = source if isinstance(source, TranslationItem) else TranslationItem(source)
    try:
        return _parts(item.message())
    except InvalidRequest as error:
        return error
    except OSError as error:
        refused = InvalidRequest.of(field, str(error))
        refused.__cause__ = error
        return refused


def _parts(item: pb.TranslationItem) -> Sequence[pb.StreamTranslateRequest]:
    """Return the messages of an item. Raises InvalidRequest where its maps or examples are too large."""
    image = item.source.image if item.source.HasField("image") else None
    data = b"" if image is None else image.data
    if image is not None and len(data) > PART_BYTES:
        image.data_size = len(data)
        image.data = data[:PART_BYTES]
    request = pb.StreamTranslateRequest(item=item)
    check_size(request, "source", "maps and examples are smaller as PNG")
    further = range(PART_BYTES, len(data), PART_BYTES)
    return [request, *(pb.StreamTranslateRequest(more=data[at : at + PART_BYTES]) for at in further)]
