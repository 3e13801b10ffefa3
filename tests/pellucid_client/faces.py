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


async def until_error(stream: Any) -> tuple[list[Any], Exception | None]:
    """The items of a stream of either face up to its end or its error, and that."""
    items: list[Any] = []
    try:
        if isasyncgen(stream):
            async for item in stream:
                items.append(item)  # noqa: PERF401 - what came before the error is to be kept
        else:
            items.extend(stream)
    except Exception as error:
        return items, error
    return items, None
