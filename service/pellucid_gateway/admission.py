"""How much may be in flight: calls, images and bytes, kept by refusing or by waiting."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from pellucid_gateway.errors import Overloaded
from pellucid_gateway.identity.caller import current
from pellucid_gateway.identity.quotas import Quotas
from pellucid_gateway.limit import Limit

RETRY_AFTER_S = 0.2


@dataclass(eq=False)
class _Waiter:
    caller: str
    images: int
    size: int
    turn: asyncio.Future[None]


class Admission:
    """A bound on what all requests hold together.

    What would not wait is refused beyond the limits. What waits has the common part of them, is served in order of
    arrival within a caller, and the caller who holds least comes first.
    """

    def __init__(self, max_calls: int, max_images: int, max_bytes: int):
        self.quotas = Quotas()
        self.calls = Limit("calls", max_calls)
        self.images = Limit("images", max_images)
        self.bytes = Limit("bytes", max_bytes)
        self._waiting: list[_Waiter] = []

    @contextmanager
    def call(self) -> Iterator[None]:
        """Hold a call as long as it is open. Raises Overloaded."""
        with _held(self.calls, current.get().name, 1):
            yield

    @contextmanager
    def refuse_beyond(self, images: int, size: int) -> Iterator[None]:
        """Hold images and their bytes, or raise Overloaded where there is no room for them now."""
        caller = current.get().name
        try:
            with _held(self.images, caller, images), _held(self.bytes, caller, size):
                # Last, so that who is refused for want of room pays nothing.
                self.quotas.take(current.get(), images)
                yield
        finally:
            self._admit()

    @asynccontextmanager
    async def wait_for(self, images: int, size: int) -> AsyncIterator[None]:
        """Hold images and their bytes as soon as there is room; more than the common part is taken as all of it."""
        caller = current.get().name
        images, size = min(images, self.images.common), min(size, self.bytes.common)
        waiter = _Waiter(caller, images, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._admit()
        try:
            await waiter.turn
            yield
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self.images.give(caller, images)
                self.bytes.give(caller, size)
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            first = min(self._waiting, key=lambda one: self.bytes.held(one.caller))
            for limit, amount in ((self.images, first.images), (self.bytes, first.size)):
                if limit.used + amount > limit.common:
                    return
            self._waiting.remove(first)
            self.images.take(first.caller, first.images)
            self.bytes.take(first.caller, first.size)
            if not first.turn.done():
                first.turn.set_result(None)


@contextmanager
def _held(limit: Limit, caller: str, amount: int) -> Iterator[None]:
    if not limit.has_room(caller, amount):
        raise Overloaded(
            f"{limit.used} {limit.what} are in flight, {limit.held(caller)} of them for {caller}, and {amount} more "
            f"would exceed the limit of {limit.most}",
            RETRY_AFTER_S,
            "fairness" if limit.used + amount <= limit.most else limit.what,
        )
    limit.take(caller, amount)
    try:
        yield
    finally:
        limit.give(caller, amount)
