"""TranslationService: one source to many targets, or a stream of sources, each with a status of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from pellucid.v1 import translation_service_pb2 as pb
from pellucid.v1 import translation_service_pb2_grpc
from pellucid_gateway import domains, images
from pellucid_gateway.clock import Clock
from pellucid_gateway.errors import invalid
from pellucid_gateway.rpc import convert, validation
from pellucid_gateway.rpc.sources_stream import SourcesStream
from pellucid_gateway.translation import Item, Order, Translation

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class TranslationServicer(translation_service_pb2_grpc.TranslationServiceServicer):
    """Images from images or label maps."""

    def __init__(self, translation: Translation):
        self._translation = translation

    async def Translate(self, request: pb.TranslateRequest, context: Context) -> pb.TranslateResponse:
        """Translate one source."""
        clock = Clock.start()
        order = self._order(request, convert.deadline(context), bulk=False)
        item = Item(request.source, targets_of(order, request.targets, all_domains=request.all_domains))
        if request.source.image.data_size:
            raise invalid("source.image.data_size", "parts follow in StreamTranslate only")
        made = await self._translation.bounded(order, item, clock)
        return pb.TranslateResponse(images=made, timings=clock.timings(), request_id=request.request_id)

    async def StreamTranslate(
        self, requests: AsyncIterator[pb.StreamTranslateRequest], context: Context
    ) -> AsyncIterator[pb.StreamTranslateResponse]:
        """Translate any number of sources."""
        first = await anext(requests, None)
        if first is None or not first.HasField("start"):
            raise invalid("start", "the first message of a stream must be its start")
        validation.check(first)
        start = first.start
        order = self._order(start, convert.deadline(context), bulk=True)
        default = targets_of(order, start.targets, all_domains=start.all_domains)
        stream = SourcesStream(self._translation, order, default, in_order=not start.unordered)
        told = start.request_id
        async with aclosing(stream.answers(requests)) as answers:
            async for response in answers:
                response.request_id, told = told, ""
                yield response

    def _order(
        self, request: pb.TranslateRequest | pb.StreamTranslateStart, deadline: float | None, *, bulk: bool
    ) -> Order:
        output = request.output
        return Order(
            served=self._translation.translator(request.model, request.version, request.request_id),
            fit=request.fit,
            image_format=convert.image_format(output),
            quality=output.quality if output.HasField("quality") else images.DEFAULT_QUALITY,
            priority=convert.priority(request.priority, bulk=bulk),
            deadline=deadline,
        )


def targets_of(order: Order, given: Sequence[pb.Target], *, all_domains: bool) -> Sequence[pb.Target]:
    """Give the targets of a call: those given, all domains, or the model's only one."""
    card = order.served.card
    if all_domains:
        if given:
            raise invalid("all_domains", "not together with targets")
        if not card.translation.HasField("domains"):
            raise invalid("all_domains", f"{card.name} has no domains")
        return domains.every(card.translation.domains)
    return given or [pb.Target()]
