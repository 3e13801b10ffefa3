"""Images to labels, through classifiers that are served like any model."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from pellucid.v1 import analysis_service_pb2, model_pb2
from pellucid_gateway import images
from pellucid_gateway.admission import Admission
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import InferenceFailed, InvalidRequest
from pellucid_gateway.identity.caller import current
from pellucid_gateway.jobs import check_task
from pellucid_gateway.telemetry import calls
from pellucid_gateway.versions import ServedVersion

Labelled = analysis_service_pb2.Analysis | InvalidRequest


@dataclass(frozen=True)
class Batch:
    """Images to label, numbered from `first`; what cannot be read has an InvalidRequest in its place.

    `deadline` is on the monotonic clock; `priority` is Triton's, 1 the highest.
    """

    served: ServedVersion
    images: Sequence[analysis_service_pb2.ImageInput]
    first: int
    priority: int
    deadline: float | None

    @property
    def held_bytes(self) -> int:
        """Bytes that the images hold: as they came, and at the classifier's size.

        Each of the decoder's threads may hold one image of the permitted size besides.
        """
        pixels = self.served.card.height * self.served.card.width * 3
        return sum(pixels + len(image.data) for image in self.images)


class Analysis:
    """Labels images."""

    def __init__(
        self,
        catalog: Catalog,
        dispatcher: Dispatcher,
        decoder: Executor,
        admission: Admission,
        max_image_px: int,
    ):
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._decoder = decoder
        self._admission = admission
        self._max_image_px = max_image_px

    def classifier(self, model: str, version: str, request_id: str = "") -> ServedVersion:
        """Find a classifier. Raises NotFound, ModelUnavailable or Refused."""
        served = self._catalog.serving(model, version, request_id)
        check_task(served.card, model_pb2.TASK_CLASSIFY)
        return served

    async def bounded(self, batch: Batch, clock: Clock) -> list[Labelled]:
        """Label a unary call's images. Raises Overloaded where there is no room for them now."""
        with self._admission.refuse_beyond(len(batch.images), batch.held_bytes):
            return await self._label(batch, clock)

    async def streamed(self, batch: Batch, clock: Clock) -> list[Labelled]:
        """Label one message of a stream, as soon as there is room for it."""
        await self._admission.quotas.wait(current.get(), len(batch.images))
        async with self._admission.wait_for(len(batch.images), batch.held_bytes):
            return await self._label(batch, clock)

    async def labels_of(
        self, model: str, pixels: images.Pixels, priority: int, deadline: float | None, clock: Clock
    ) -> dict[str, float]:
        """Label one decoded image (H, W, 3) by a classifier. Raises as `classifier` does."""
        served = self.classifier(model, "")
        loop = asyncio.get_running_loop()
        card = served.card
        seen = await loop.run_in_executor(self._decoder, images.resize, pixels, card.height, card.width)
        [values] = await self._classify(Batch(served, [], 0, priority, deadline), [seen], clock)
        return {label.name: float(value) for label, value in zip(card.labels, values, strict=True)}

    async def _label(self, batch: Batch, clock: Clock) -> list[Labelled]:
        card = batch.served.card
        decoded = await asyncio.gather(*(self._decode(card, image, k) for k, image in enumerate(batch.images)))
        readable = [pixels for pixels in decoded if not isinstance(pixels, InvalidRequest)]
        parts = [readable[at : at + card.max_batch_size] for at in range(0, len(readable), card.max_batch_size)]
        rows = await asyncio.gather(*(self._classify(batch, part, clock) for part in parts))
        calls.made(card.name, len(readable))
        found = iter([row for part in rows for row in part])
        return [
            pixels if isinstance(pixels, InvalidRequest) else _analysis(card, batch.first + k, next(found))
            for k, pixels in enumerate(decoded)
        ]

    async def _decode(
        self, card: model_pb2.Model, image: analysis_service_pb2.ImageInput, number: int
    ) -> images.Pixels | InvalidRequest:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._decoder, self._fit, card, image, f"images[{number}]")
        except InvalidRequest as error:
            return error

    def _fit(self, card: model_pb2.Model, image: analysis_service_pb2.ImageInput, field: str) -> images.Pixels:
        return images.resize(images.decode(image, field, self._max_image_px), card.height, card.width)

    async def _classify(self, batch: Batch, pixels: list[images.Pixels], clock: Clock) -> np.ndarray:
        card = batch.served.card
        work = Work(
            model=card.stages[0].model,
            version=batch.served.version.name,
            inputs={"image": np.stack(pixels)},
            outputs=("labels",),
            max_batch_size=card.max_batch_size,
            priority=batch.priority,
            deadline=batch.deadline,
        )
        outcome = await self._dispatcher.run(work)
        clock.add(outcome)
        labels = outcome.outputs["labels"]
        if labels.shape != (len(pixels), len(card.labels)):
            raise InferenceFailed(f"{card.name} gave labels of shape {labels.shape} for {len(pixels)} images")
        return labels


def _analysis(card: model_pb2.Model, index: int, values: np.ndarray) -> analysis_service_pb2.Analysis:
    return analysis_service_pb2.Analysis(
        index=index,
        measurements=[
            analysis_service_pb2.Measurement(label=label.name, value=float(value), kind=label.kind, unit=label.unit)
            for label, value in zip(card.labels, values, strict=True)
        ],
    )
