"""What the calls of one client share: its connection, its credentials and its times."""

from types import TracebackType
from typing import Self, Unpack

from pellucid_client.calls import Caller
from pellucid_client.channel import Connection
from pellucid_client.options import ClientOptions, check
from pellucid_client.retry import RetryPolicy

DEFAULT_TARGET = "127.0.0.1:50051"


class Session:
    """A connection that opens at the first call; `async with` closes it."""

    def __init__(self, target: str = DEFAULT_TARGET, **settings: Unpack[ClientOptions]) -> None:
        check(settings, ClientOptions)
        self.target = target
        self._timeout_s = settings.get("timeout_s", 30.0)
        self._stream_timeout_s = settings.get("stream_timeout_s", 600.0)
        self._connection = Connection(target, settings.get("credentials"))
        metadata = [*settings.get("metadata", ())]
        if "api_key" in settings:
            metadata.append(("authorization", f"Bearer {settings['api_key']}"))
        self._caller = Caller(metadata, settings.get("retry", RetryPolicy()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; what is in flight is cancelled."""
        await self._connection.close()
