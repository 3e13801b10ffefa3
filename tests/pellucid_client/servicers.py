"""A gateway in front of the toy model, what it was asked, and what is to go wrong with the next calls."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeVar

import grpc
from google.api import httpbody_pb2

from pellucid.v1 import (
    analysis_service_pb2,
    analysis_service_pb2_grpc,
    generation_service_pb2,
    generation_service_pb2_grpc,
    image_pb2,
    latent_pb2,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    translation_service_pb2_grpc,
)
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.toy_model import CLASSES, PX, analysis, axes, encoded, point_of, result
from tests.pellucid_client.toy_translation_servicer import ToyTranslator

Context = grpc.aio.ServicerContext[Any, Any]
StreamResponse = TypeVar(
    "StreamResponse",
    generation_service_pb2.StreamGenerateResponse,
    generation_service_pb2.StreamEditResponse,
    generation_service_pb2.InterpolateResponse,
)


@dataclass
class ToyGateway(
    model_service_pb2_grpc.ModelServiceServicer,
    generation_service_pb2_grpc.GenerationServiceServicer,
    analysis_service_pb2_grpc.AnalysisServiceServicer,
):
    """The services, what they were asked, and what is to go wrong with the next calls."""

    faults: deque[Fault] = field(default_factory=deque)
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    version: str = "1"
    part_bytes: int = 2**20
    page_size: int = 100
    state: model_pb2.State.ValueType = model_pb2.STATE_AVAILABLE
    translator: ToyTranslator = field(default_factory=ToyTranslator)

    async def GetModel(self, request: Any, context: Context) -> model_service_pb2.GetModelResponse:
        await self._begin(request, context)
        for model in self._models():
            if model.name == request.name:
                return model_service_pb2.GetModelResponse(model=model)
        return await self._fail(context, Fault(grpc.StatusCode.NOT_FOUND))

    async def ListModels(self, request: Any, context: Context) -> model_service_pb2.ListModelsResponse:
        await self._begin(request, context)
        page, token = self._page([m for m in self._models() if request.task in (0, m.task)], request.page_token)
        return model_service_pb2.ListModelsResponse(models=page, next_page_token=token)

    async def ListAxes(self, request: Any, context: Context) -> model_service_pb2.ListAxesResponse:
        await self._begin(request, context)
        page, token = self._page(axes(), request.page_token)
        return model_service_pb2.ListAxesResponse(axes=page, next_page_token=token)

    async def GetAxis(self, request: Any, context: Context) -> model_service_pb2.GetAxisResponse:
        await self._begin(request, context)
        for axis in axes():
            if axis.name == request.name:
                return model_service_pb2.GetAxisResponse(axis=axis)
        return await self._fail(context, Fault(grpc.StatusCode.NOT_FOUND))

    async def ListClasses(self, request: Any, context: Context) -> model_service_pb2.ListClassesResponse:
        await self._begin(request, context)
        found = [(index, name) for index, name in enumerate(CLASSES) if request.query in name]
        page, token = self._page(found, request.page_token)
        classes = [model_service_pb2.Class(index=index, name=name) for index, name in page]
        return model_service_pb2.ListClassesResponse(classes=classes, next_page_token=token)

    async def Generate(self, request: Any, context: Context) -> generation_service_pb2.GenerateResponse:
        await self._begin(request, context)
        images = list(self._images(request, _sources(request), [None]))
        return generation_service_pb2.GenerateResponse(images=images, request_id=request.request_id)

    async def Edit(self, request: Any, context: Context) -> generation_service_pb2.EditResponse:
        await self._begin(request, context)
        images = list(self._images(request, _sources(request), _edits(request)))
        return generation_service_pb2.EditResponse(images=images, request_id=request.request_id)

    async def StreamGenerate(
        self, request: Any, context: Context
    ) -> AsyncIterator[generation_service_pb2.StreamGenerateResponse]:
        images = self._images(request, _sources(request), [None])
        async for response in self._stream(request, context, images, generation_service_pb2.StreamGenerateResponse):
            yield response

    async def StreamEdit(
        self, request: Any, context: Context
    ) -> AsyncIterator[generation_service_pb2.StreamEditResponse]:
        images = self._images(request, _sources(request), _edits(request))
        async for response in self._stream(request, context, images, generation_service_pb2.StreamEditResponse):
            yield response

    async def Interpolate(
        self, request: Any, context: Context
    ) -> AsyncIterator[generation_service_pb2.InterpolateResponse]:
        images = self._images(request, list(_walk(request)), [None])
        async for response in self._stream(request, context, images, generation_service_pb2.InterpolateResponse):
            yield response

    async def Analyze(self, request: Any, context: Context) -> analysis_service_pb2.AnalyzeResponse:
        await self._begin(request, context)
        found = [analysis(image, index) for index, image in enumerate(request.images)]
        return analysis_service_pb2.AnalyzeResponse(analyses=found, request_id=request.request_id)

    async def StreamAnalyze(
        self, request_iterator: Any, context: Context
    ) -> AsyncIterator[analysis_service_pb2.StreamAnalyzeResponse]:
        fault = self.faults.popleft() if self.faults else None
        index = 0
        async for request in request_iterator:
            self.requests.append(request)
            for image in request.images:
                if fault is not None and index == fault.after_images:
                    await self._fail(context, fault)
                yield analysis_service_pb2.StreamAnalyzeResponse(results=[result(image, index)])
                index += 1

    async def RenderImage(self, request: Any, context: Context) -> httpbody_pb2.HttpBody:
        await self._begin(request, context)
        return httpbody_pb2.HttpBody()

    async def _begin(self, request: Any, context: Context) -> None:
        self._record(request, context)
        if self.faults:
            await self._fail(context, self.faults.popleft())

    def _record(self, request: Any, context: Context) -> None:
        kept = type(request)()
        kept.CopyFrom(request)
        self.requests.append(kept)
        self.metadata.append(dict(context.invocation_metadata() or ()))

    async def _fail(self, context: Context, fault: Fault) -> Any:
        await asyncio.sleep(fault.after_s)
        await context.abort_with_status(fault.status())

    async def _stream(
        self, request: Any, context: Context, images: Iterator[image_pb2.Image], kind: type[StreamResponse]
    ) -> AsyncIterator[StreamResponse]:
        self._record(request, context)
        fault = self.faults.popleft() if self.faults else None
        yield kind(request_id=request.request_id)
        for image in images:
            due = fault is not None and image.index == fault.after_images
            for part in self._parts(image):
                if due and fault is not None and not (fault.within_image and part.recipe.model):
                    await self._fail(context, fault)
                yield kind(images=[part])
        if fault is not None:
            await self._fail(context, fault)

    def _parts(self, image: image_pb2.Image) -> Iterator[image_pb2.Image]:
        data = image.data
        image.data = data[: self.part_bytes]
        yield image
        for start in range(self.part_bytes, len(data), self.part_bytes):
            yield image_pb2.Image(index=image.index, data=data[start : start + self.part_bytes])

    def _images(
        self, request: Any, sources: list[image_pb2.Source], edits: list[image_pb2.EditSet | None]
    ) -> Iterator[image_pb2.Image]:
        for index, (source, edit) in enumerate(product(sources, edits)):
            recipe = self._recipe(request.model, source, edit)
            point = point_of(image_pb2.Source(recipe=recipe))
            data = encoded(point, request.output.format)
            image = image_pb2.Image(
                index=index,
                format=request.output.format or image_pb2.IMAGE_FORMAT_JPEG,
                height=PX,
                width=PX,
                data=data,
                data_size=len(data),
                recipe=recipe,
            )
            if request.output.include_latent:
                image.latent.CopyFrom(latent_pb2.Latent(space=latent_pb2.SPACE_Z, values=point))
            if edit is not None:
                image.axis_moves.extend(image_pb2.AxisMove(axis=m.axis, steps=m.steps) for m in edit.moves)
                image.warnings.extend(f"{m.axis} is beyond 4 steps" for m in edit.moves if abs(m.steps) > 4)
            yield image

    def _recipe(self, model: str, source: image_pb2.Source, edit: image_pb2.EditSet | None) -> image_pb2.Recipe:
        recipe = image_pb2.Recipe(model=model, version=self.version)
        match source.WhichOneof("source"):
            case "recipe":
                recipe.CopyFrom(source.recipe)
                recipe.version = self.version
            case "seed":
                recipe.seed = source.seed
            case "latent":
                recipe.latent.CopyFrom(source.latent)
        if edit is not None:
            recipe.edits.append(image_pb2.AppliedEdit(edit=edit))
        return recipe

    def _models(self) -> list[model_pb2.Model]:
        reason = "" if self.state == model_pb2.STATE_AVAILABLE else "still loading"
        shared = {"height": PX, "width": PX, "state": self.state, "state_reason": reason}
        return [
            model_pb2.Model(name="models/labels", task=model_pb2.TASK_CLASSIFY, **shared),
            model_pb2.Model(
                name="models/toy",
                task=model_pb2.TASK_GENERATE,
                display_name="Toy",
                classes=model_pb2.ClassList(names=CLASSES, count=len(CLASSES)),
                **shared,
            ),
        ]

    def _page(self, items: list[Any], token: str) -> tuple[list[Any], str]:
        start = int(token or 0)
        end = start + self.page_size
        return items[start:end], str(end) if end < len(items) else ""


def _sources(request: Any) -> list[image_pb2.Source]:
    if request.sources:
        return list(request.sources)
    first, count = request.seeds.first, request.seeds.count
    return [image_pb2.Source(seed=(first + k) % 2**64) for k in range(count)]


def _edits(request: Any) -> list[image_pb2.EditSet | None]:
    if not request.HasField("sweep"):
        return [request.edit]
    swept: list[image_pb2.EditSet | None] = []
    for amount in request.sweep.amounts:
        edit = image_pb2.EditSet()
        edit.CopyFrom(request.edit)
        edit.moves.append(image_pb2.Move(axis=request.sweep.axis, steps=amount))
        swept.append(edit)
    return swept


def _walk(request: Any) -> Iterator[image_pb2.Source]:
    frames = request.frames_per_segment
    segments = list(zip(request.keyframes, request.keyframes[1:], strict=False))
    stops = [(start, end, k / frames) for start, end in segments for k in range(frames)]
    for start, end, position in [*stops, (*segments[-1], 1.0)]:
        walk = image_pb2.Interpolation(start=start, end=end, position=position)
        yield image_pb2.Source(recipe=image_pb2.Recipe(model=request.model, interpolation=walk))


async def serve(gateway: ToyGateway) -> tuple[grpc.aio.Server, str]:
    """Serve on a free port."""
    server = grpc.aio.server()
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(gateway, server)
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(gateway, server)
    analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server(gateway, server)
    translation_service_pb2_grpc.add_TranslationServiceServicer_to_server(gateway.translator, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
