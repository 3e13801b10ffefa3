"""Images to labels, through classifiers that are served like any model."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from pellucid.v1 import analysis_service_pb2, model_pb2
from pellucid_gateway import images
from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.catalog import Catalog, ServedVersion
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import InferenceFailed, InvalidRequest
from pellucid_gateway.jobs import check_task

Labelled = analysis_service_pb2.Analysis | InvalidRequest


class Analysis:
    """Labels images."""

    def __init__(
        self,
        catalog: Catalog,
        dispatcher: Dispatcher,
        decoder: Executor,
        budget: ByteBudget,
        max_image_px: int,
    ):
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._decoder = decoder
        self._budget = budget
        self._max_image_px = max_image_px

    def classifier(self, model: str, version: str) -> ServedVersion:
        """Find a classifier. Raises NotFound, ModelUnavailable or Refused."""
        served = self._catalog.serving(model, version)
        check_task(served.card, model_pb2.TASK_CLASSIFY)
        return served

    async def label(
        self,
        served: ServedVersion,
        inputs: Sequence[analysis_service_pb2.ImageInput],
        clock: Clock,
        *,
        first: int,
        priority: int,
        deadline: float | None,
    ) -> list[Labelled]:
        """Label images, numbered from `first`; what could not be read has an InvalidRequest in its place."""
        card = served.card
        async with self._budget.wait_for(len(inputs) * card.height * card.width * 3):
            decoded = await asyncio.gather(*(self._decode(served, image, k) for k, image in enumerate(inputs)))
            readable = [pixels for pixels in decoded if not isinstance(pixels, InvalidRequest)]
            parts = [readable[at : at + card.max_batch_size] for at in range(0, len(readable), card.max_batch_size)]
            rows = await asyncio.gather(*(self._classify(served, part, clock, priority, deadline) for part in parts))
        found = iter([row for part in rows for row in part])
        return [
            pixels if isinstance(pixels, InvalidRequest) else _analysis(card, first + k, next(found))
            for k, pixels in enumerate(decoded)
        ]

    async def _decode(
        self, served: ServedVersion, image: analysis_service_pb2.ImageInput, number: int
    ) -> images.Pixels | InvalidRequest:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._decoder, self._fit, served.card, image, f"images[{number}]")
        except InvalidRequest as error:
            return error

    def _fit(self, card: model_pb2.Model, image: analysis_service_pb2.ImageInput, field: str) -> images.Pixels:
        return images.resize(images.decode(image, field, self._max_image_px), card.height, card.width)

    async def _classify(
        self,
        served: ServedVersion,
        pixels: list[images.Pixels],
        clock: Clock,
        priority: int,
        deadline: float | None,
    ) -> np.ndarray:
        stage = served.card.stages[0]
        outcome = await self._dispatcher.run(
            Work(
                model=stage.model,
                version=served.version.name,
                inputs={"image": np.stack(pixels)},
                outputs=("labels",),
                max_batch_size=served.card.max_batch_size,
                priority=priority,
                deadline=deadline,
            )
        )
        clock.add(outcome)
        labels = outcome.outputs["labels"]
        if labels.shape != (len(pixels), len(served.card.labels)):
            raise InferenceFailed(f"{served.card.name} gave labels of shape {labels.shape} for {len(pixels)} images")
        return labels


def _analysis(card: model_pb2.Model, index: int, values: np.ndarray) -> analysis_service_pb2.Analysis:
    return analysis_service_pb2.Analysis(
        index=index,
        measurements=[
            analysis_service_pb2.Measurement(label=label.name, value=float(value), kind=label.kind, unit=label.unit)
            for label, value in zip(card.labels, values, strict=True)
        ],
    )
