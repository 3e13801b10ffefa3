"""Waiting for what announces itself to nobody."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds; the test's own limit of time is the only one."""
    while not await condition():  # noqa: ASYNC110 - nobody sets an event
        await asyncio.sleep(0.05)
