"""Images to images: a source is decoded and fitted, goes to its targets' stages, and comes back in its own size.

item -> bytes reserved -> prepared (decoded, edited, fitted) -> labels, where a target is relative to them
     -> a row a target -> the stage of its direction (dispatch) -> restored and encoded
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import numpy as np

from pellucid.v1 import image_pb2, model_pb2, translation_service_pb2
from pellucid_gateway import domains, images, latents, looks, targets
from pellucid_gateway.admission import Admission
from pellucid_gateway.alignment import Aligner
from pellucid_gateway.analysis import Analysis
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.chain import IMAGE
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.errors import InvalidRequest, Refused, Violation, invalid
from pellucid_gateway.identity.caller import current
from pellucid_gateway.images import Pixels
from pellucid_gateway.jobs import check_task
from pellucid_gateway.looks import Looks
from pellucid_gateway.run import Run
from pellucid_gateway.sources import Prepared, held_bytes, prepare
from pellucid_gateway.targets import Row
from pellucid_gateway.telemetry import calls, traces
from pellucid_gateway.tiles import Mosaic, Tiling
from pellucid_gateway.versions import ServedVersion

MAX_UNARY_BYTES = 4 * 2**20
MAX_RECONSTRUCTION_BYTES = 2**20
FRAMING_BYTES = 4096
"""Taken for what goes with a translation: its labels, domain and clusters."""

Made = list[translation_service_pb2.TranslatedImage]
Asked = tuple[model_pb2.Stage, Mapping[str, Tensor]]
"""A row: its stage, and the tensors for it."""


@dataclass(frozen=True)
class Order:
    """What holds for all sources of a call; `priority` is Triton's, 1 the highest, `deadline` monotonic."""

    served: ServedVersion
    fit: translation_service_pb2.SourceFit
    image_format: "image_pb2.ImageFormat.ValueType"
    quality: int
    priority: int
    deadline: float | None


@dataclass(frozen=True)
class Item:
    """A source with its targets; `at` is the field that holds the source."""

    source: translation_service_pb2.TranslationSource
    targets: Sequence[translation_service_pb2.Target]
    at: str = "source"


class Translation:
    """Translates images and scenes."""

    def __init__(
        self,
        catalog: Catalog,
        dispatcher: Dispatcher,
        analysis: Analysis,
        codec: Executor,
        admission: Admission,
        max_image_px: int,
    ):
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._analysis = analysis
        self._codec = codec
        self._admission = admission
        self._max_image_px = max_image_px
        self._aligner = Aligner()

    def translator(self, model: str, version: str, request_id: str = "") -> ServedVersion:
        """Find a translator. Raises NotFound, ModelUnavailable or Refused."""
        served = self._catalog.serving(model, version, request_id)
        check_task(served.card, model_pb2.TASK_TRANSLATE)
        return served

    async def bounded(self, order: Order, item: Item, clock: Clock) -> Made:
        """Translate a unary call's source. Raises Overloaded where there is no room for it now."""
        with self._admission.refuse_beyond(len(item.targets), self._held_bytes(order, item)):
            return await self._translate(order, item, clock, MAX_UNARY_BYTES)

    def room_for(self, order: Order, item: Item) -> AbstractAsyncContextManager[None]:
        """Give a lease of the bytes that a stream's source and its translations hold, entered when there is room."""
        return self._admission.wait_for(len(item.targets), self._held_bytes(order, item))

    async def streamed(self, order: Order, item: Item, clock: Clock) -> Made:
        """Translate a stream's source that there is room for."""
        await self._admission.quotas.wait(current.get(), len(item.targets))
        return await self._translate(order, item, clock, self._admission.bytes.most)

    def _held_bytes(self, order: Order, item: Item) -> int:
        return held_bytes(item.source, order.fit, order.served.card, item.at, len(item.targets), self._max_image_px)

    async def _translate(self, order: Order, item: Item, clock: Clock, most_bytes: int) -> Made:
        served, loop = order.served, asyncio.get_running_loop()
        with traces.step("decode"):
            prepared = await loop.run_in_executor(
                self._codec, prepare, item.source, order.fit, served.card, item.at, self._max_image_px, self._aligner
            )
        _check_fits(order, item, prepared, most_bytes)
        run = Run(self._dispatcher, served, order.priority, order.deadline, clock)
        labels = await self._labels(order, item, prepared, clock)
        rows = []
        for number, target in enumerate(item.targets):
            at = f"targets[{number}]"
            look = await self._look(run, prepared, target.style, f"{at}.style")
            rows.append(targets.row(target, prepared, served, labels, look, at))
        pixels = await self._painted(run, prepared, [(row.stage, row.tensors) for row in rows])
        backs = {
            number: (row.back, {**row.tensors, "source": pixels[number]})
            for number, row in enumerate(rows)
            if row.back is not None
        }
        returned = dict(zip(backs, await self._painted(run, prepared, list(backs.values())), strict=True))
        calls.made(served.card.name, len(rows))
        with traces.step("encode"):
            return await loop.run_in_executor(self._codec, _rendered, order, prepared, rows, pixels, returned)

    async def _painted(self, run: Run, prepared: Prepared, rows: Sequence[Asked]) -> list[Pixels]:
        """Run rows through their stages, whole or in tiles."""
        tiling = prepared.fitting.tiling
        if tiling is None:
            return await _through(run, rows)
        loop, mosaics = asyncio.get_running_loop(), [Mosaic(tiling) for _ in rows]
        for top in tiling.tops:
            cut = [one for row in rows for one in _cut(tiling, row, prepared.tensors, top)]
            made = await _through(run, cut)
            tiles = [made[at : at + len(tiling.lefts)] for at in range(0, len(made), len(tiling.lefts))]
            await loop.run_in_executor(self._codec, _add, mosaics, tiles)
        return [mosaic.pixels for mosaic in mosaics]

    async def _labels(self, order: Order, item: Item, prepared: Prepared, clock: Clock) -> Mapping[str, float]:
        """Give the source's labels: those that were told, or else those that the card's classifier measures."""
        card, told = order.served.card, dict(item.source.labels)
        known = {name for one in card.translation.domains.sets for name in one.names}
        strange = sorted(told.keys() - known)
        if strange:
            raise InvalidRequest(
                [Violation(f"{item.at}.labels[{name}]", f"{card.name} has no such domain") for name in strange]
            )
        needed = [
            number
            for number, target in enumerate(item.targets)
            if target.HasField("domain")
            and card.translation.HasField("domains")
            and domains.needs_labels(target.domain, card, f"targets[{number}].domain")
        ]
        if told or not needed:
            return told
        classifier = card.translation.domains.source_classifier
        if not classifier or prepared.pixels is None:
            raise invalid(
                f"{item.at}.labels",
                f"targets[{needed[0]}] depends on the source's labels, and {card.name} names no classifier for them",
            )
        measured = await self._analysis.labels_of(classifier, prepared.pixels, order.priority, order.deadline, clock)
        return {name: value for name, value in measured.items() if name in known}

    async def _look(
        self, run: Run, prepared: Prepared, style: translation_service_pb2.StyleTarget, at: str
    ) -> Looks | None:
        card, scene = run.served.card, prepared.scene
        if scene is None or not card.translation.HasField("features"):
            return None
        measured = None
        if style.HasField("example"):
            if style.HasField("seed"):
                raise invalid(f"{at}.seed", "not together with example")
            measured = await self._measured(run, prepared, style, at)
        return looks.choose(style, scene, run.served.clusters, card, measured, at)

    async def _measured(
        self, run: Run, prepared: Prepared, style: translation_service_pb2.StyleTarget, at: str
    ) -> latents.Latents:
        """Measure the features of an example's instances."""
        stage = targets.stage_of(run.served.card, run.served.card.translation.features.encoder_stage)
        if stage is None:
            raise Refused("EXAMPLE_NOT_SUPPORTED", f"{run.served.card.name} has no encoder for examples")
        if prepared.fitting.tiling:
            raise invalid(f"{at}.example", "not together with FIT_MODE_TILE: instances are measured in whole images")
        if style.example.data_size:
            raise invalid(f"{at}.example.data_size", "parts follow for the source's image only")
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(
            self._codec, images.decode, style.example, f"{at}.example", self._max_image_px
        )
        if pixels.shape[:2] != prepared.source_size:
            raise invalid(
                f"{at}.example",
                f"{pixels.shape[0]} x {pixels.shape[1]} pixels, and the scene has {prepared.source_size[0]} x "
                f"{prepared.source_size[1]}",
            )
        tensors = {"source": prepared.fitting.apply(pixels), "instance_map": prepared.tensors["instance_map"]}
        found = await run.through([stage], {name: tensors[name][None] for name in stage.inputs}, ("features",))
        return np.asarray(found["features"][0], dtype=np.float32)


async def _through(run: Run, rows: Sequence[Asked]) -> list[Pixels]:
    """Run rows through their stages, those of one stage in batches together."""
    results: dict[int, Pixels] = {}

    async def batch(stage: model_pb2.Stage, numbers: list[int]) -> None:
        tensors = {name: np.stack([rows[k][1][name] for k in numbers]) for name in stage.inputs}
        found = (await run.through([stage], tensors, (IMAGE,)))[IMAGE]
        if found.dtype != np.uint8:
            raise Refused("NO_PIXELS", f"{run.served.card.name} gives {found.dtype} for research, not pixels")
        results.update(zip(numbers, np.asarray(found, np.uint8), strict=True))

    by_stage: dict[str, list[int]] = {}
    for number, (stage, _) in enumerate(rows):
        by_stage.setdefault(stage.model, []).append(number)
    size = run.served.card.max_batch_size
    await asyncio.gather(
        *(
            batch(rows[numbers[0]][0], numbers[first : first + size])
            for numbers in by_stage.values()
            for first in range(0, len(numbers), size)
        )
    )
    return [results[number] for number in range(len(rows))]


def _cut(tiling: Tiling, row: Asked, planes: Collection[str], top: int) -> list[Asked]:
    """Make a row of tiles of a row's planes; what else it brings goes with each of them."""
    stage, tensors = row
    names = [name for name in tensors if name in planes]
    tiles = zip(*(tiling.row(tensors[name], top) for name in names), strict=True)
    return [(stage, {**tensors, **dict(zip(names, tile, strict=True))}) for tile in tiles]


def _add(mosaics: Sequence[Mosaic], rows: Sequence[Sequence[Pixels]]) -> None:
    for mosaic, row in zip(mosaics, rows, strict=True):
        mosaic.add(row)


def _rendered(
    order: Order, prepared: Prepared, rows: Sequence[Row], pixels: Sequence[Pixels], returned: Mapping[int, Pixels]
) -> Made:
    made = []
    for number, (row, result) in enumerate(zip(rows, pixels, strict=True)):
        restored = np.asarray(prepared.fitting.restore(result), np.uint8)
        data = images.encode(restored, order.image_format, order.quality)
        image = translation_service_pb2.TranslatedImage(
            target=number,
            format=order.image_format,
            height=restored.shape[0],
            width=restored.shape[1],
            data=data,
            data_size=len(data),
            applied=row.applied,
        )
        if number in returned:
            source = np.asarray(prepared.tensors["source"], np.uint8)
            image.reconstruction.mean_error = float(np.abs(returned[number].astype(int) - source).mean())
            again = images.encode(
                np.asarray(prepared.fitting.restore(returned[number]), np.uint8), order.image_format, order.quality
            )
            image.reconstruction.data = again if len(again) <= MAX_RECONSTRUCTION_BYTES else b""
        made.append(image)
    return made


def _check_fits(order: Order, item: Item, prepared: Prepared, most_bytes: int) -> None:
    worst = images.worst_case_bytes(*prepared.restored_size, order.image_format, order.quality) + FRAMING_BYTES
    cycles = sum(target.cycle for target in item.targets) * min(worst, MAX_RECONSTRUCTION_BYTES)
    size = len(item.targets) * worst + cycles
    if size > most_bytes:
        raise invalid(
            "targets",
            f"{len(item.targets)} translations may take {size} bytes, and the limit here is {most_bytes}: "
            "use StreamTranslate, or fewer",
        )
