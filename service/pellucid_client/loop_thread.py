"""An event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

from pellucid_client.read_ahead import ReadAhead

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for threads that have no event loop."""

    def __init__(self) -> None:
        self.stopped = False
        self._starting = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pellucid-client", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return a coroutine's result; it is cancelled where the wait is interrupted."""
        with self._starting:
            if self.stopped:
                coroutine.close()
                raise RuntimeError("the client is closed")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, stream: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Give a stream's items; it is closed where the iteration is left."""
        ahead = ReadAhead(stream)
        try:
            while items := self.run(ahead.handful()):
                yield from items
        finally:
            if not self.stopped:
                self.run(ahead.close())

    def stop(self) -> None:
        """Cancel what is running, and end the loop and its thread."""
        with self._starting:
            self.stopped = True
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_all(self) -> None:
        # Whoever waits for a task in another thread would wait for ever if the loop just stopped.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
