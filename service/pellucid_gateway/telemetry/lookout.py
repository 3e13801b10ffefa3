"""The ports of those who look after a gateway: metrics, probes, the debug page, channelz."""

import asyncio
import os
from collections.abc import Callable

import grpc

from pellucid_gateway.telemetry.admin import AdminServer
from pellucid_gateway.telemetry.channelz import channelz_server
from pellucid_gateway.telemetry.facts import Facts


class Lookout:
    """Serves what there is to see at two addresses (`host:port`), each empty for none."""

    def __init__(self, admin_address: str, channelz_address: str, facts: Callable[[], Facts]):
        self._admin_address = admin_address
        self._channelz_address = channelz_address
        self._facts = facts
        self._admin: AdminServer | None = None
        self._channelz: grpc.aio.Server | None = None

    @property
    def admin_port(self) -> int | None:
        """Where metrics, probes and the debug page are served."""
        return self._admin.port if self._admin else None

    async def open(self) -> None:
        """Open the ports."""
        if self._admin_address:
            shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
            self._admin = AdminServer(self._admin_address, self._facts, asyncio.get_running_loop(), shared=shared)
            self._admin.start()
        if self._channelz_address:
            self._channelz, _ = channelz_server(self._channelz_address)
            await self._channelz.start()

    async def close(self) -> None:
        """Close them."""
        if self._channelz:
            await self._channelz.stop(None)
        if self._admin:
            await asyncio.to_thread(self._admin.stop)
