"""One way to call both faces of the client."""

from inspect import isasyncgen, isawaitable, isgenerator
from typing import Any


async def got(answer: Any) -> Any:
    """The result of a call of either face; the items of a stream as a list."""
    if isasyncgen(answer):
        return [item async for item in answer]
    if isgenerator(answer):
        return list(answer)
    return await answer if isawaitable(answer) else answer
