"""What is left of a stream of images after some have arrived.

Seeds, latents and recipes give the same image every time, so a broken stream is continued by asking for the rest.
The rest may begin with images that have arrived already, where the contract cannot ask for less: they are skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pellucid.v1 import generation_service_pb2 as pb
from pellucid_client.sources import SEEDS

R = TypeVar("R", pb.StreamGenerateRequest, pb.StreamEditRequest, pb.InterpolateRequest)


@dataclass(frozen=True)
class Plan(Generic[R]):
    """A stream's request, how many images it gives, and how to ask for the rest of them."""

    request: R
    total: int
    _drop: Callable[[R, int], int]

    def rest(self, done: int, version: str) -> tuple[R, int]:
        """Return the request for the images from `done` on, and how many of its first are to be skipped.

        `version` is the one that made the images so far, so that a change of the default cannot mix two.
        """
        if done == 0:
            return self.request, 0
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.version = version
        return request, self._drop(request, done)


def generation(request: pb.StreamGenerateRequest) -> Plan[pb.StreamGenerateRequest]:
    """Plan a stream of generated images."""

    def drop(rest: pb.StreamGenerateRequest, done: int) -> int:
        _drop_sources(rest, done)
        return 0

    return Plan(request, _source_count(request), drop)


def edits(request: pb.StreamEditRequest) -> Plan[pb.StreamEditRequest]:
    """Plan a stream of edits: every source gives one image for each amount of the sweep."""
    per_source = max(len(request.sweep.amounts), 1)

    def drop(rest: pb.StreamEditRequest, done: int) -> int:
        _drop_sources(rest, done // per_source)
        return done % per_source

    return Plan(request, _source_count(request) * per_source, drop)


def interpolation(request: pb.InterpolateRequest) -> Plan[pb.InterpolateRequest]:
    """Plan a walk: every segment gives its frames, the last key frame one more."""
    frames, segments = request.frames_per_segment, len(request.keyframes) - 1

    def drop(rest: pb.InterpolateRequest, done: int) -> int:
        whole = min(done // frames, segments - 1)
        del rest.keyframes[:whole]
        return done - whole * frames

    return Plan(request, frames * segments + 1, drop)


def _source_count(request: pb.StreamGenerateRequest | pb.StreamEditRequest) -> int:
    return len(request.sources) or request.seeds.count


def _drop_sources(request: pb.StreamGenerateRequest | pb.StreamEditRequest, count: int) -> None:
    if request.sources:
        del request.sources[:count]
    else:
        request.seeds.first = (request.seeds.first + count) % SEEDS
        request.seeds.count -= count
