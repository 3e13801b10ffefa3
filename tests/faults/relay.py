"""A network between two processes that a test can cut."""

import asyncio
from types import TracebackType
from typing import Self

from pellucid_triton.addresses import Address


class Relay:
    """Passes TCP connections on to `target` (`host:port`) while entered; `address` is where it listens."""

    def __init__(self, target: str):
        self._target = Address.parse(target)
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""

    def stall(self) -> None:
        """Pass on nothing more, and say nothing about it: packets are dropped."""
        self._passing.clear()

    def cut(self) -> None:
        """Break all connections, and take none until it is mended."""
        self.stall()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Pass everything on again."""
        self._passing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        self.mend()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        try:
            onward = await asyncio.open_connection(self._target.host, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, onward[1]}
        self._writers |= both
        await asyncio.gather(self._pass_on(reader, onward[1]), self._pass_on(onward[0], writer))
        self._writers -= both

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
