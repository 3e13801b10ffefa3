"""Requests of the contract from what callers say."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_client import names, options
from pellucid_client.choices import known
from pellucid_client.edits import Amount, Sweep, edit_set
from pellucid_client.errors import InvalidRequest
from pellucid_client.options import ImageOptions
from pellucid_client.sources import (
    OFFICIAL_SEEDS,
    SEEDS,
    SourceLike,
    draw_seed,
    first_recipe,
    seed_range,
    source_messages,
)

PathName = Literal["spherical", "linear"]

_PATHS: dict[PathName, image_pb2.Path.ValueType] = {
    "spherical": image_pb2.PATH_SPHERICAL,
    "linear": image_pb2.PATH_LINEAR,
}

_MOST_SOURCES: dict[type, int] = {
    pb.GenerateRequest: 64,
    pb.StreamGenerateRequest: 10_000,
    pb.StreamEditRequest: 10_000,
}

Generation = TypeVar("Generation", pb.GenerateRequest, pb.StreamGenerateRequest)


def generation(
    kind: type[Generation],
    model: str,
    given: Mapping[str, Any],
    image_options: ImageOptions,
) -> Generation:
    """Return a request for new images of what is `given`: sources, seed, seeds, count with first_seed, or latents."""
    origin = {name: value for name, value in given.items() if value is not None}
    ways = set(origin) - {"first_seed", "count"} or {"count"}
    if len(ways) > 1 or (ways != {"count"} and len(origin) > 1):
        raise InvalidRequest.of("sources", f"{', '.join(origin)}: only one way to say what is wanted")
    if "seed" in origin:
        origin = {"first_seed": origin["seed"]}
    for several in ("sources", "seeds", "latents"):
        if several in origin:
            start = _origin(kind, origin[several], several, image_options)
            return kind(**start, **_common(model, start.get("sources", []), image_options))
    start = _seeds(kind, origin.get("first_seed"), origin.get("count"), image_options)
    return kind(**start, **_common(model, [], image_options))


def edit(
    sources: SourceLike | Iterable[SourceLike],
    moves: Mapping[str, Amount] | None,
    locks: Iterable[str],
    sweep: Sweep | None,
    model: str | None,
    image_options: ImageOptions,
) -> pb.EditRequest:
    """Return a request for edits."""
    messages = source_messages(sources, sampler=options.sampler(image_options))
    return pb.EditRequest(
        sources=messages,
        edit=edit_set(moves, locks),
        sweep=sweep.message() if sweep else None,
        **_common(model, messages, image_options),
    )


def stream_edit(
    sources: SourceLike | Iterable[SourceLike],
    moves: Mapping[str, Amount] | None,
    locks: Iterable[str],
    sweep: Sweep | None,
    model: str | None,
    image_options: ImageOptions,
) -> pb.StreamEditRequest:
    """Return a request for a stream of edits; a range of seeds goes as one."""
    start = _origin(pb.StreamEditRequest, sources, "sources", image_options)
    return pb.StreamEditRequest(
        **start,
        edit=edit_set(moves, locks),
        sweep=sweep.message() if sweep else None,
        **_common(model, start.get("sources", []), image_options),
    )


def interpolation(
    keyframes: Iterable[SourceLike],
    frames: int,
    path: PathName | None,
    model: str | None,
    image_options: ImageOptions,
) -> pb.InterpolateRequest:
    """Return a request for a walk."""
    messages = source_messages(keyframes, "keyframes", options.sampler(image_options))
    return pb.InterpolateRequest(
        keyframes=messages,
        frames_per_segment=frames,
        path=image_pb2.PATH_UNSPECIFIED if path is None else known("path", path, _PATHS),
        **_common(model, messages, image_options),
    )


def _origin(
    kind: type, sources: SourceLike | Iterable[SourceLike], field: str, image_options: ImageOptions
) -> dict[str, Any]:
    if isinstance(sources, range) and sources.step == 1 and sources and sources[-1] < SEEDS:
        return _seeds(kind, sources.start, len(sources), image_options)
    return {"sources": source_messages(sources, field, options.sampler(image_options))}


def _seeds(kind: type, first: int | None, count: int | None, image_options: ImageOptions) -> dict[str, Any]:
    """Return seeds in a row; official ones one by one, since the contract's ranges have no sampler."""
    sampler = options.sampler(image_options)
    if sampler != image_pb2.SAMPLER_OFFICIAL:
        return {"seeds": seed_range(first, count)}
    number, most = 1 if count is None else count, _MOST_SOURCES[kind]
    if not 1 <= number <= most:
        raise InvalidRequest.of(
            "seeds",
            f"{number} official seeds are not 1 to {most}: they go one by one, "
            "at most 64 in a call and 10,000 in a stream",
        )
    start = draw_seed(OFFICIAL_SEEDS - number + 1) if first is None else first
    return {"sources": source_messages(range(start, start + number), "seeds", sampler)}


def _common(model: str | None, sources: list[image_pb2.Source], image_options: ImageOptions) -> dict[str, Any]:
    """Return the fields that all requests for images share."""
    options.check(image_options, ImageOptions)
    recipe = first_recipe(sources)
    if model is None and recipe is None:
        raise InvalidRequest.of("model", "is needed where no source is an earlier image")
    return {
        "model": names.model_name(model) if model is not None else recipe.model if recipe else "",
        "version": image_options.get("version", recipe.version if recipe else ""),
        "controls": options.controls(image_options),
        "output": options.output(image_options),
        "priority": options.priority(image_options),
        "request_id": options.request_id(image_options),
    }
