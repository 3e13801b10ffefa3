"""What operators do; who may is decided before (see rpc/authentication.py)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

from pellucid.v1 import admin_service_pb2 as pb
from pellucid.v1 import admin_service_pb2_grpc
from pellucid_gateway.catalog import Catalog

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """Changes what is served. `drain` is told whether the gateway should say that it does not serve."""

    def __init__(self, catalog: Catalog, drain: Callable[[bool], None]):
        self._catalog = catalog
        self._drain = drain

    async def ReloadModel(self, request: pb.ReloadModelRequest, context: Context) -> pb.ReloadModelResponse:
        """Load what a model's directory holds now."""
        await self._catalog.reload(request.name)
        return pb.ReloadModelResponse(model=self._catalog.find(request.name).card)

    async def SetVersionWeights(
        self, request: pb.SetVersionWeightsRequest, context: Context
    ) -> pb.SetVersionWeightsResponse:
        """Share out the requests that name no version."""
        await self._catalog.weigh(request.name, dict(request.weights))
        return pb.SetVersionWeightsResponse(model=self._catalog.find(request.name).card)

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        """Say that this gateway does not serve, or that it does again."""
        self._drain(not request.undo)
        return pb.DrainResponse()
