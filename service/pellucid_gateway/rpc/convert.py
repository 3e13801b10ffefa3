"""Requests to jobs."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from pellucid.v1 import generation_service_pb2, image_pb2
from pellucid_gateway import images
from pellucid_gateway.errors import invalid
from pellucid_gateway.jobs import SEEDS, Job, Seeds, Walk

Numbered = (
    generation_service_pb2.GenerateRequest
    | generation_service_pb2.StreamGenerateRequest
    | generation_service_pb2.StreamEditRequest
)
Edited = generation_service_pb2.EditRequest | generation_service_pb2.StreamEditRequest
Walked = generation_service_pb2.InterpolateRequest
Request = Numbered | Edited | Walked

DEFAULT_FRAMES = 8


def generate(request: Numbered, deadline: float | None, *, bulk: bool) -> Job:
    """Convert a Generate or StreamGenerate."""
    return _job(request, _numbered(request), deadline, bulk=bulk)


def edit(request: generation_service_pb2.EditRequest, deadline: float | None) -> Job:
    """Convert an Edit."""
    return _edited(request, request.sources, deadline, bulk=False)


def stream_edit(request: generation_service_pb2.StreamEditRequest, deadline: float | None) -> Job:
    """Convert a StreamEdit."""
    if not request.sources and not request.HasField("seeds"):
        raise invalid("sources", "one of sources and seeds is required")
    return _edited(request, _numbered(request), deadline, bulk=True)


def interpolate(request: Walked, deadline: float | None) -> Job:
    """Convert an Interpolate."""
    frames = request.frames_per_segment if request.HasField("frames_per_segment") else DEFAULT_FRAMES
    return _job(request, request.keyframes, deadline, bulk=True, walk=Walk(frames, request.path))


def render(request: generation_service_pb2.RenderImageRequest, deadline: float | None) -> Job:
    """Convert a RenderImage to an Edit of one seed."""
    moves = [move.rsplit(":", 1) for move in request.moves]
    output = image_pb2.OutputOptions(format=request.format)
    if request.HasField("quality"):
        output.quality = request.quality
    unary = generation_service_pb2.EditRequest(
        model=request.model,
        version=request.version,
        sources=[image_pb2.Source(seed=request.seed)],
        edit=image_pb2.EditSet(
            moves=[image_pb2.Move(axis=axis, steps=float(steps)) for axis, steps in moves],
            locks=request.locks,
        ),
        controls=request.controls,
        output=output,
    )
    return edit(unary, deadline)


def image_format(output: image_pb2.OutputOptions) -> "image_pb2.ImageFormat.ValueType":
    """Give the format of images that come back. Raises InvalidRequest for a quality that it has not."""
    chosen = output.format or image_pb2.IMAGE_FORMAT_JPEG
    if output.HasField("quality") and chosen != image_pb2.IMAGE_FORMAT_JPEG:
        raise invalid("output.quality", f"{image_pb2.ImageFormat.Name(chosen)} has no quality")
    return chosen


def deadline(context: Any) -> float | None:
    """Give the caller's deadline on the monotonic clock."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + float(remaining)


def priority(asked: "image_pb2.Priority.ValueType", *, bulk: bool) -> int:
    """Give Triton's priority, 1 the highest."""
    if asked == image_pb2.PRIORITY_UNSPECIFIED:
        return image_pb2.PRIORITY_BULK if bulk else image_pb2.PRIORITY_INTERACTIVE
    return asked


def _numbered(request: Numbered) -> Sequence[image_pb2.Source]:
    if request.sources:
        if request.HasField("seeds"):
            raise invalid("seeds", "not together with sources")
        return request.sources
    first = request.seeds.first if request.seeds.HasField("first") else secrets.randbelow(SEEDS)
    return Seeds(first, request.seeds.count if request.seeds.HasField("count") else 1)


def _edited(
    request: Edited, sources: Sequence[image_pb2.Source], deadline: float | None, *, bulk: bool
) -> Job:  # fmt: skip
    sweep = request.sweep if request.HasField("sweep") else None
    return _job(request, sources, deadline, bulk=bulk, edit=request.edit, sweep=sweep)


def _job(
    request: Request,
    sources: Sequence[image_pb2.Source],
    deadline: float | None,
    *,
    bulk: bool,
    edit: image_pb2.EditSet | None = None,
    sweep: generation_service_pb2.Sweep | None = None,
    walk: Walk | None = None,
) -> Job:
    output = request.output
    return Job(
        model=request.model,
        version=request.version or _made_with(request.model, sources),
        sources=sources,
        edit=edit or image_pb2.EditSet(),
        sweep=sweep,
        walk=walk,
        controls=request.controls,
        image_format=image_format(output),
        quality=output.quality if output.HasField("quality") else images.DEFAULT_QUALITY,
        include_latent=output.include_latent,
        include_intermediates=output.include_intermediates,
        include_attention=output.include_attention,
        priority=priority(request.priority, bulk=bulk),
        deadline=deadline,
        request_id=request.request_id,
    )


def _made_with(model: str, sources: Sequence[image_pb2.Source]) -> str:
    """Give the version of an earlier image that is gone on from: it must not depend on which serves by default now."""
    recipe = sources[0].recipe if sources else image_pb2.Recipe()
    return recipe.version if recipe.model == model else ""
