"""Takes from a stream all that is there already."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 64


class ReadAhead(Generic[T]):
    """Reads a stream in handfuls: what came in one message is handed to the other thread at once.

    Without it every image would cost a change of threads, which is a third of what a small image costs to make.
    """

    def __init__(self, stream: AsyncGenerator[T, None]) -> None:
        self._stream = stream
        self._next: asyncio.Task[tuple[T] | None] | None = None

    async def handful(self) -> list[T]:
        """Return the next items; none only at the end. An error is raised once the items before it were returned."""
        items: list[T] = []
        while len(items) < _MOST:
            self._next = self._next or asyncio.ensure_future(_item(self._stream))
            if items:
                await asyncio.sleep(0)
                if not self._next.done() or self._next.exception() is not None:
                    return items
            item = await self._next
            if item is None:
                return items
            items.append(item[0])
            self._next = None
        return items

    async def close(self) -> None:
        """Close the stream."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._stream.aclose()


async def _item(stream: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for item in stream:
        return (item,)
    return None
