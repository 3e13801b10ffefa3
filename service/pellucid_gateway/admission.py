"""How much may be in flight: a budget in bytes, kept by refusing or by waiting."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from pellucid_gateway.errors import Overloaded

RETRY_AFTER_S = 0.2


class ByteBudget:
    """A bound on the bytes that requests hold together.

    Whoever waits is served in order of arrival; those who would not wait go before them, since they are interactive.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.used = 0
        # A stream may hold its bytes for long, as its reader may stop: a quarter is kept for what does not wait.
        self._patient_limit = limit * 3 // 4
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextmanager
    def refuse_beyond(self, size: int) -> Iterator[None]:
        """Hold `size` bytes, or raise Overloaded where they are not free now."""
        if self.used + size > self.limit:
            raise Overloaded(
                f"{self.used} bytes are in flight, and {size} more would exceed the limit of {self.limit}",
                RETRY_AFTER_S,
            )
        self.used += size
        try:
            yield
        finally:
            self._release(size)

    @asynccontextmanager
    async def wait_for(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes as soon as they are free in three quarters of the limit; more is taken as all of these."""
        size = min(size, self._patient_limit)
        await self._acquire(size)
        try:
            yield
        finally:
            self._release(size)

    async def _acquire(self, size: int) -> None:
        if not self._waiting and self.used + size <= self._patient_limit:
            self.used += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(size)
            else:
                # Cancelled and passed over in the same turn of the loop, it is not among those who wait any more.
                with suppress(ValueError):
                    self._waiting.remove((size, turn))
                self._admit()
            raise

    def _release(self, size: int) -> None:
        self.used -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self._patient_limit:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)
