"""What is behind the door: just enough to tell who came in, and with what."""

from typing import Any

from pellucid.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    image_pb2,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
)
from pellucid_gateway.errors import PermissionDenied
from pellucid_gateway.identity.caller import current
from pellucid_gateway.identity.quotas import Quotas


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    async def GetModel(self, request: Any, context: Any) -> Any:
        if not current.get().may_use(request.name):
            raise PermissionDenied(f"{current.get().name} may not use {request.name}")
        return model_service_pb2.GetModelResponse(model=model_pb2.Model(name=request.name))

    async def ListModels(self, request: Any, context: Any) -> Any:
        """Tell who calls."""
        caller = current.get()
        return model_service_pb2.ListModelsResponse(next_page_token=f"{caller.name} by {caller.kind}")


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    def __init__(self, quotas: Quotas):
        self._quotas = quotas

    async def Generate(self, request: Any, context: Any) -> Any:
        self._quotas.take(current.get(), request.seeds.count)
        return generation_service_pb2.GenerateResponse(images=[image_pb2.Image()] * request.seeds.count)


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    async def Drain(self, request: Any, context: Any) -> Any:
        return admin_service_pb2.DrainResponse()
