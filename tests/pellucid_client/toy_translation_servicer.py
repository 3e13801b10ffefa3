"""A translator that inverts bytes, and what is to go wrong with its next streams."""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc

from pellucid.v1 import image_pb2, translation_service_pb2_grpc
from pellucid.v1 import translation_service_pb2 as pb
from tests.pellucid_client.faults import Fault

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class ToyTranslator(translation_service_pb2_grpc.TranslationServiceServicer):
    """Inverts raw pixels, in parts of so many bytes; `script` answers the next stream word for word instead."""

    faults: deque[Fault] = field(default_factory=deque)
    script: Iterable[pb.StreamTranslateResponse] | None = None
    starts: list[pb.StreamTranslateStart] = field(default_factory=list)
    requests: list[pb.StreamTranslateRequest] = field(default_factory=list)
    unary: list[pb.TranslateRequest] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    version: str = "1"
    part_bytes: int = 2**20

    async def Translate(self, request: pb.TranslateRequest, context: Context) -> pb.TranslateResponse:
        self.unary.append(request)
        if self.faults:
            await context.abort_with_status(self.faults.popleft().status())
        image = self._inverted(request.source.image.data, 0)
        return pb.TranslateResponse(images=[image], request_id=request.request_id)

    async def StreamTranslate(
        self, request_iterator: AsyncIterator[pb.StreamTranslateRequest], context: Context
    ) -> AsyncIterator[pb.StreamTranslateResponse]:
        fault = self.faults.popleft() if self.faults else None
        self.starts.append((await anext(request_iterator)).start)
        self.times_s.append(context.time_remaining())
        index, data, missing = -1, b"", 0
        async for request in request_iterator:
            self.requests.append(request)
            if request.HasField("item"):
                index, data = index + 1, request.item.source.image.data
                missing = max(request.item.source.image.data_size - len(data), 0)
            else:
                data, missing = data + request.more, missing - len(request.more)
            if missing or self.script is not None:
                continue
            if fault is not None and index == fault.after_images:
                await context.abort_with_status(fault.status())
            for response in self._parts(index, self._inverted(data, 0)):
                yield response
        for response in self.script or ():
            yield response

    def _inverted(self, data: bytes, target: int) -> pb.TranslatedImage:
        made = bytes(255 - byte for byte in data)
        applied = pb.AppliedTranslation(model="models/toy", version=self.version)
        size = {"height": 1, "width": len(made) // 3, "data_size": len(made)}
        return pb.TranslatedImage(target=target, format=image_pb2.IMAGE_FORMAT_RAW, data=made, applied=applied, **size)

    def _parts(self, index: int, image: pb.TranslatedImage) -> Iterable[pb.StreamTranslateResponse]:
        data = image.data
        image.data = data[: self.part_bytes]
        further = range(self.part_bytes, len(data), self.part_bytes)
        parts = [image, *(pb.TranslatedImage(target=0, data=data[at : at + self.part_bytes]) for at in further)]
        for part in parts:
            yield pb.StreamTranslateResponse(
                index=index, images=pb.TranslatedImages(images=[part]), last=part is parts[-1]
            )
