"""Calls of ModelService."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

import grpc

from pellucid.v1 import axis_pb2, model_pb2
from pellucid.v1 import model_service_pb2 as pb
from pellucid_client import names
from pellucid_client.errors import DeadlineExceeded, NotFound, Transient, Unavailable
from pellucid_client.session import Session

Listing = TypeVar("Listing", pb.ListModelsRequest, pb.ListAxesRequest, pb.ListClassesRequest)
Page = TypeVar("Page", pb.ListModelsResponse, pb.ListAxesResponse, pb.ListClassesResponse)

_POLL_S = 0.1


class ModelCalls(Session):
    """What is served, and what can be done with it."""

    async def wait_ready(self, model: str | None = None, *, timeout_s: float = 60.0) -> None:
        """Return once the gateway answers and, where a model is named, that model is available.

        Raises the last reason against it when the time is over: Unavailable, or NotFound for a model that never came.
        """
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                return await self._check_ready(model, max(end - asyncio.get_running_loop().time(), _POLL_S))
            except (Transient, DeadlineExceeded, NotFound):
                if asyncio.get_running_loop().time() + _POLL_S >= end:
                    raise
            await asyncio.sleep(_POLL_S)

    async def _check_ready(self, model: str | None, timeout_s: float) -> None:
        if model is None:
            request = pb.ListModelsRequest(page_size=1)
            await self._caller.once(self._connection.models.ListModels, request, timeout_s)
            return
        card_request = pb.GetModelRequest(name=names.model_name(model))
        response = await self._caller.once(self._connection.models.GetModel, card_request, timeout_s)
        if response.model.state != model_pb2.STATE_AVAILABLE:
            raise Unavailable(f"{response.model.name} is not available: {response.model.state_reason}")

    async def models(self, task: model_pb2.Task.ValueType = model_pb2.TASK_UNSPECIFIED) -> list[model_pb2.Model]:
        """Return the cards of all models, or of one task, by name; without versions, axes and names of classes."""
        request = pb.ListModelsRequest(task=task)
        pages = self._pages(self._connection.models.ListModels, request)
        return [model async for page in pages for model in page.models]

    async def model(self, name: str) -> model_pb2.Model:
        """Return a model's whole card."""
        request = pb.GetModelRequest(name=names.model_name(name))
        response = await self._caller.unary(self._connection.models.GetModel, request, self._timeout_s)
        return response.model

    async def axes(self, model: str, *, version: str = "") -> list[axis_pb2.Axis]:
        """Return the axes of a model's version by name."""
        request = pb.ListAxesRequest(parent=names.model_name(model), version=version)
        return [axis async for page in self._pages(self._connection.models.ListAxes, request) for axis in page.axes]

    async def axis(self, name: str, *, version: str = "") -> axis_pb2.Axis:
        """Return one axis, named `digiface/happiness` or `models/digiface/axes/happiness`."""
        request = pb.GetAxisRequest(name=names.axis_name(name), version=version)
        response = await self._caller.unary(self._connection.models.GetAxis, request, self._timeout_s)
        return response.axis

    async def classes(self, model: str, query: str = "") -> list[tuple[int, str]]:
        """Return the index and name of each class of a model, or of those whose names contain all words of a query."""
        request = pb.ListClassesRequest(parent=names.model_name(model), query=query)
        pages = self._pages(self._connection.models.ListClasses, request)
        return [(one.index, one.name) async for page in pages for one in page.classes]

    async def _pages(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Listing, Page]", request: Listing
    ) -> AsyncGenerator[Page, None]:
        while True:
            page = await self._caller.unary(method, request, self._timeout_s)
            yield page
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return
