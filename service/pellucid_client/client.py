"""The synchronous client: the asynchronous one, on an event loop in a thread of its own.

Nothing is written twice: every method is derived from the asynchronous method of the same name, with its signature
and its documentation.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from pellucid_client.async_client import AsyncClient
from pellucid_client.loop_thread import LoopThread
from pellucid_client.options import ClientOptions
from pellucid_client.session import DEFAULT_TARGET

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    @wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate["Client", P], Generator[T, None, None]]:
    @wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return self._thread.iterate(self._thread.run(_called(method, self._client, *args, **kwargs)))

    return call


async def _called(
    method: Callable[Concatenate[AsyncClient, P], T], client: AsyncClient, *args: P.args, **kwargs: P.kwargs
) -> T:
    # Inside the loop, where the channel belongs that a first call opens.
    return method(client, *args, **kwargs)


class Client:
    """A client for programs without an event loop, safe to use from several threads; `with` closes it.

    Its methods are those of AsyncClient: what is awaited there returns here, and what is iterated with `async for`
    there is iterated with `for` here. Not to be called from inside an event loop, which it would block.
    """

    def __init__(self, target: str = DEFAULT_TARGET, **settings: Unpack[ClientOptions]) -> None:
        self._client = AsyncClient(target, **settings)
        self._thread = LoopThread()

    @property
    def target(self) -> str:
        """The gateway's address."""
        return self._client.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what is in flight is cancelled."""
        if not self._thread.stopped:
            self._thread.run(self._client.close())
            self._thread.stop()

    wait_ready = _blocking(AsyncClient.wait_ready)
    models = _blocking(AsyncClient.models)
    model = _blocking(AsyncClient.model)
    axes = _blocking(AsyncClient.axes)
    axis = _blocking(AsyncClient.axis)
    classes = _blocking(AsyncClient.classes)
    generate = _blocking(AsyncClient.generate)
    stream_generate = _iterating(AsyncClient.stream_generate)
    edit = _blocking(AsyncClient.edit)
    stream_edit = _iterating(AsyncClient.stream_edit)
    interpolate = _iterating(AsyncClient.interpolate)
    analyze = _blocking(AsyncClient.analyze)
    stream_analyze = _iterating(AsyncClient.stream_analyze)
    translate = _blocking(AsyncClient.translate)
    stream_translate = _iterating(AsyncClient.stream_translate)
