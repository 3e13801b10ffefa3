"""grpc.health.v1 for the gateway, its services and each model.

NOTE: not grpcio-health-checking's servicer: its Watch writes under the lock that reporting needs, so that one watcher
who stops reading would stop all reporting.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Response = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells who asks, and who watches, what was reported last."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._closing = False

    def report(self, serving: Mapping[str, bool]) -> None:
        """Report whether each service serves; one that was reported before and is missing now serves no more."""
        self._serving = dict.fromkeys(self._serving, False) | dict(serving)
        self._wake()

    def close(self) -> None:
        """Report that nothing serves any more, and let watchers go."""
        self._closing = True
        self.report({})

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Response:  # noqa: N802
        """Tell the status of a service. NOT_FOUND where it is not known."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return Response(status=self._status(request.service))

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[Response]:
        """Tell the status of a service now and whenever it changes."""
        told = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status != told:
                yield Response(status=status)
                told = status
            elif self._closing:
                return
            else:
                await changed.wait()

    def _status(self, service: str) -> Any:
        if service not in self._serving:
            return Response.SERVICE_UNKNOWN
        return Response.SERVING if self._serving[service] else Response.NOT_SERVING

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
