"""What each caller may use a minute: buckets that fill steadily and hold one minute's worth."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pellucid_gateway.errors import QuotaExceeded, Refused
from pellucid_gateway.identity.caller import Caller

MINUTE_S = 60.0
_ROUNDING = 1e-6


@dataclass
class _Bucket:
    """`level` is what is left, below 0 where more was used than there was; without a quota it is endless."""

    counted: str
    level: float = math.inf
    rate: float = math.inf
    filled_s: float = 0.0

    def fill(self, quota: float | None, now_s: float) -> None:
        if quota is None:
            self.level = self.rate = math.inf
        else:
            self.rate = quota / MINUTE_S
            self.level = min(quota, self.level + (now_s - self.filled_s) * self.rate)
        self.filled_s = now_s

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` is there."""
        missing = amount - self.level
        return missing / self.rate if missing > _ROUNDING else 0.0

    def is_full(self, now_s: float) -> bool:
        return self.level + (now_s - self.filled_s) * self.rate >= self.rate * MINUTE_S


@dataclass
class _Account:
    """A caller's buckets. `turn` lets those who wait go in order of arrival."""

    images: _Bucket = field(default_factory=lambda: _Bucket("images per minute"))
    bytes: _Bucket = field(default_factory=lambda: _Bucket("bytes per minute"))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def fill(self, caller: Caller, now_s: float) -> None:
        self.images.fill(caller.images_per_minute, now_s)
        self.bytes.fill(caller.bytes_per_minute, now_s)

    def is_idle(self, now_s: float) -> bool:
        """Whether a new account would be its equal."""
        return self.images.is_full(now_s) and self.bytes.is_full(now_s) and not self.turn.locked()


class Quotas:
    """Keeps callers to their quotas. `clock` is monotonic, in seconds; `sleep` lets it pass."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ):
        self._clock = clock
        self._sleep = sleep
        self._swept_s = clock()
        self._accounts: dict[str, _Account] = {}

    @property
    def accounts(self) -> set[str]:
        """Names of the callers of whom something is remembered."""
        return set(self._accounts)

    def take(self, caller: Caller, images: int) -> None:
        """Take `images` now, where all debts are paid.

        Raises QuotaExceeded where they are there later, and Refused where they never will be.
        """
        quota = caller.images_per_minute
        if quota is not None and images > quota:
            limit = f"the quota of {caller.name} is {quota:g} a minute"
            raise Refused("QUOTA_TOO_SMALL", f"{images} images in one call, and {limit}: use the stream")
        account = self._filled(caller)
        for bucket, amount in ((account.images, images), (account.bytes, 0)):
            if wait_s := bucket.wait_s(amount):
                raise QuotaExceeded(caller.name, bucket.counted, bucket.rate * MINUTE_S, wait_s)
        account.images.level -= images

    async def wait(self, caller: Caller, images: int) -> None:
        """Take `images` as soon as they are there and all debts are paid, in order of arrival.

        More than a minute's worth waits for a full bucket and leaves a debt.
        """
        at_once = min(images, caller.images_per_minute or math.inf)
        async with self._filled(caller).turn:
            account = self._filled(caller)
            while delay_s := max(account.images.wait_s(at_once), account.bytes.wait_s(0)):
                await self._sleep(delay_s)
                account.fill(caller, self._clock())
            account.images.level -= images

    def charge(self, caller: Caller, size: int) -> None:
        """Count `size` bytes that came or went. What is over the quota is a debt, which the next call waits for."""
        self._filled(caller).bytes.level -= size

    def _filled(self, caller: Caller) -> _Account:
        now_s = self._clock()
        if now_s - self._swept_s >= MINUTE_S:
            self._swept_s = now_s
            self._accounts = {name: one for name, one in self._accounts.items() if not one.is_idle(now_s)}
        account = self._accounts.setdefault(caller.name, _Account())
        account.fill(caller, now_s)
        return account
