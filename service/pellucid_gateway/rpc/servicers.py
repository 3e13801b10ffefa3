"""The services: each call converts, calls the core, and converts back."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import grpc
from google.api import httpbody_pb2

from pellucid.v1 import (
    analysis_service_pb2 as analysis_pb2,
)
from pellucid.v1 import (
    analysis_service_pb2_grpc,
    generation_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
)
from pellucid.v1 import (
    generation_service_pb2 as generation_pb2,
)
from pellucid_gateway import images
from pellucid_gateway.analysis import Analysis, Batch
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.clock import Clock
from pellucid_gateway.errors import InvalidRequest, invalid
from pellucid_gateway.jobs import Job
from pellucid_gateway.rpc import chunks, convert, pages, status, validation
from pellucid_gateway.synthesis import Synthesis
from pellucid_gateway.versions import ServedVersion

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Response = TypeVar(
    "Response",
    generation_pb2.StreamGenerateResponse,
    generation_pb2.StreamEditResponse,
    generation_pb2.InterpolateResponse,
)
MAX_MODELS = 100
MAX_AXES = 200
MAX_CLASSES = 1000


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """What is served."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: Context
    ) -> model_service_pb2.ListModelsResponse:
        """List models by name."""
        cards = {name: e.card for name, e in self._catalog.permitted.items() if request.task in (0, e.card.task)}
        names, following = pages.page(sorted(cards), request.page_size, request.page_token, MAX_MODELS)
        return model_service_pb2.ListModelsResponse(
            models=[_summary(cards[name]) for name in names], next_page_token=following
        )

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: Context
    ) -> model_service_pb2.GetModelResponse:
        """Give a model's card."""
        return model_service_pb2.GetModelResponse(model=self._catalog.find(request.name).card)

    async def ListAxes(
        self, request: model_service_pb2.ListAxesRequest, context: Context
    ) -> model_service_pb2.ListAxesResponse:
        """List a version's axes by name."""
        axes = self._catalog.serving(request.parent, request.version).axes.newest
        names, following = pages.page(sorted(axes), request.page_size, request.page_token, MAX_AXES)
        response = model_service_pb2.ListAxesResponse(next_page_token=following)
        for name in names:
            response.axes.add().CopyFrom(axes[name].axis)
            response.axes[-1].name = f"{request.parent}/axes/{name}"
        return response

    async def GetAxis(
        self, request: model_service_pb2.GetAxisRequest, context: Context
    ) -> model_service_pb2.GetAxisResponse:
        """Give one axis."""
        model, axis = request.name.split("/axes/")
        found = self._catalog.serving(model, request.version).axes.find(axis)
        response = model_service_pb2.GetAxisResponse(axis=found.axis)
        response.axis.name = request.name
        return response

    async def ListClasses(
        self, request: model_service_pb2.ListClassesRequest, context: Context
    ) -> model_service_pb2.ListClassesResponse:
        """List or search a model's classes by index."""
        names, words = self._catalog.find(request.parent).card.classes.names, request.query.casefold().split()
        found = [k for k, name in enumerate(names) if all(word in name.casefold() for word in words)]
        keys, following = pages.page([f"{k:09}" for k in found], request.page_size, request.page_token, MAX_CLASSES)
        classes = [model_service_pb2.Class(index=int(key), name=names[int(key)]) for key in keys]
        return model_service_pb2.ListClassesResponse(classes=classes, next_page_token=following)


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Images from latents."""

    def __init__(self, synthesis: Synthesis):
        self._synthesis = synthesis

    async def Generate(
        self, request: generation_pb2.GenerateRequest, context: Context
    ) -> generation_pb2.GenerateResponse:
        """Generate at most 64 images."""
        clock = Clock.start()
        made = await self._synthesis.bounded(convert.generate(request, convert.deadline(context), bulk=False), clock)
        return generation_pb2.GenerateResponse(images=made, timings=clock.timings(), request_id=request.request_id)

    async def Edit(self, request: generation_pb2.EditRequest, context: Context) -> generation_pb2.EditResponse:
        """Move at most 64 images along axes."""
        clock = Clock.start()
        made = await self._synthesis.bounded(convert.edit(request, convert.deadline(context)), clock)
        return generation_pb2.EditResponse(images=made, timings=clock.timings(), request_id=request.request_id)

    async def StreamGenerate(
        self, request: generation_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncIterator[generation_pb2.StreamGenerateResponse]:
        """Generate any number of images."""
        job = convert.generate(request, convert.deadline(context), bulk=True)
        async for response in self._stream(job, request.request_id, generation_pb2.StreamGenerateResponse):
            yield response

    async def StreamEdit(
        self, request: generation_pb2.StreamEditRequest, context: Context
    ) -> AsyncIterator[generation_pb2.StreamEditResponse]:
        """Move any number of images along axes."""
        job = convert.stream_edit(request, convert.deadline(context))
        async for response in self._stream(job, request.request_id, generation_pb2.StreamEditResponse):
            yield response

    async def Interpolate(
        self, request: generation_pb2.InterpolateRequest, context: Context
    ) -> AsyncIterator[generation_pb2.InterpolateResponse]:
        """Walk from one image to another."""
        job = convert.interpolate(request, convert.deadline(context))
        async for response in self._stream(job, request.request_id, generation_pb2.InterpolateResponse):
            yield response

    async def RenderImage(self, request: generation_pb2.RenderImageRequest, context: Context) -> httpbody_pb2.HttpBody:
        """Give one image as it is."""
        job = convert.render(request, convert.deadline(context))
        [image] = await self._synthesis.bounded(job, Clock.start())
        return httpbody_pb2.HttpBody(content_type=images.MEDIA_TYPES[image.format], data=image.data)

    async def _stream(self, job: Job, request_id: str, response: type[Response]) -> AsyncIterator[Response]:
        clock = Clock.start()
        first = response(request_id=request_id)
        async with aclosing(self._synthesis.stream(job, clock)) as batches:
            async for batch in batches:
                for packed in chunks.messages(batch):
                    first.images.extend(packed)
                    yield first
                    first = response()
        first.timings.CopyFrom(clock.timings())
        yield first


class AnalysisServicer(analysis_service_pb2_grpc.AnalysisServiceServicer):
    """Labels of images."""

    def __init__(self, analysis: Analysis):
        self._analysis = analysis

    async def Analyze(self, request: analysis_pb2.AnalyzeRequest, context: Context) -> analysis_pb2.AnalyzeResponse:
        """Label at most 64 images; a bad one fails the call."""
        clock = Clock.start()
        served = self._analysis.classifier(request.model, request.version, request.request_id)
        priority = convert.priority(request.priority, bulk=False)
        labelled = await self._analysis.bounded(
            Batch(served, request.images, 0, priority, convert.deadline(context)), clock
        )
        faults = [one for one in labelled if isinstance(one, InvalidRequest)]
        if faults:
            raise InvalidRequest([violation for fault in faults for violation in fault.violations])
        return analysis_pb2.AnalyzeResponse(
            analyses=[one for one in labelled if not isinstance(one, InvalidRequest)],
            timings=clock.timings(),
            request_id=request.request_id,
            version=served.version.name,
        )

    async def StreamAnalyze(
        self, requests: AsyncIterator[analysis_pb2.StreamAnalyzeRequest], context: Context
    ) -> AsyncIterator[analysis_pb2.StreamAnalyzeResponse]:
        """Label any number of images; a bad one gets its own status."""
        served: ServedVersion | None = None
        priority, index = 0, 0
        async for request in requests:
            validation.check(request)
            if served is None:
                if not request.model:
                    raise invalid("model", "the first message of a stream must name one")
                served = self._analysis.classifier(request.model, request.version)
                priority = convert.priority(request.priority, bulk=True)
            if request.model not in ("", served.card.name):
                raise invalid("model", f"{request.model!r}, and the stream began with {served.card.name!r}")
            batch = Batch(served, request.images, index, priority, convert.deadline(context))
            labelled = await self._analysis.streamed(batch, Clock.start())
            yield analysis_pb2.StreamAnalyzeResponse(
                results=[_result(index + k, one) for k, one in enumerate(labelled)], version=served.version.name
            )
            index += len(labelled)


def _result(index: int, labelled: analysis_pb2.Analysis | InvalidRequest) -> analysis_pb2.AnalysisResult:
    if isinstance(labelled, InvalidRequest):
        return analysis_pb2.AnalysisResult(index=index, error=status.status_of(labelled))
    return analysis_pb2.AnalysisResult(index=index, analysis=labelled)


def _summary(card: model_pb2.Model) -> model_pb2.Model:
    summary = model_pb2.Model()
    summary.CopyFrom(card)
    for long in ("versions", "axes"):
        summary.ClearField(long)
    if card.HasField("classes"):
        summary.classes.ClearField("names")
    return summary
