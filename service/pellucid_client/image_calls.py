"""Calls of GenerationService."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Unpack

from numpy.typing import NDArray

from pellucid.v1 import generation_service_pb2 as pb
from pellucid_client import requests, resume
from pellucid_client.edits import Amount, Sweep
from pellucid_client.image import Image
from pellucid_client.latent import Latent
from pellucid_client.options import ImageOptions
from pellucid_client.requests import PathName
from pellucid_client.session import Session
from pellucid_client.sources import SourceLike


class ImageCalls(Session):
    """Images from latents."""

    async def generate(
        self,
        model: str,
        sources: SourceLike | Iterable[SourceLike] | None = None,
        *,
        seed: int | None = None,
        seeds: Iterable[int] | None = None,
        count: int | None = None,
        first_seed: int | None = None,
        latents: NDArray[Any] | Latent | Sequence[Latent] | None = None,
        **image_options: Unpack[ImageOptions],
    ) -> list[Image]:
        """Return at most 64 images: of one seed, of several, of `count` in a row, of latents (N, D), or of sources.

        Sources are seeds, latents of any space, and earlier images or their recipes, which are made again under the
        controls given here. Without any of these, one image of a random seed, which its recipe tells.
        """
        given = {
            "sources": sources,
            "seed": seed,
            "seeds": seeds,
            "count": count,
            "first_seed": first_seed,
            "latents": latents,
        }
        request = requests.generation(pb.GenerateRequest, model, given, image_options)
        response = await self._caller.unary(
            self._connection.generation.Generate,
            request,
            image_options.get("timeout_s", self._timeout_s),
            request.request_id,
        )
        return [Image.from_message(image, image.index) for image in response.images]

    def stream_generate(
        self,
        model: str,
        sources: SourceLike | Iterable[SourceLike] | None = None,
        *,
        seed: int | None = None,
        seeds: Iterable[int] | None = None,
        count: int | None = None,
        first_seed: int | None = None,
        latents: NDArray[Any] | Latent | Sequence[Latent] | None = None,
        **image_options: Unpack[ImageOptions],
    ) -> AsyncGenerator[Image, None]:
        """Give any number of new images, in order, as they are ready; arguments as of `generate`."""
        given = {
            "sources": sources,
            "seed": seed,
            "seeds": seeds,
            "count": count,
            "first_seed": first_seed,
            "latents": latents,
        }
        request = requests.generation(pb.StreamGenerateRequest, model, given, image_options)
        return self._caller.images(
            self._connection.generation.StreamGenerate,
            resume.generation(request),
            image_options.get("timeout_s", self._stream_timeout_s),
        )

    async def edit(
        self,
        sources: SourceLike | Iterable[SourceLike],
        moves: Mapping[str, Amount] | None = None,
        *,
        locks: Iterable[str] = (),
        sweep: Sweep | None = None,
        model: str | None = None,
        **image_options: Unpack[ImageOptions],
    ) -> list[Image]:
        """Return sources moved along axes, at most 64 images: all of the first source, then of the second.

        `moves` gives steps by axis, or Steps, Target and Distance; `locks` names axes that must not change. The model
        is that of the first source that is an earlier image, unless it is named.
        """
        request = requests.edit(sources, moves, locks, sweep, model, image_options)
        response = await self._caller.unary(
            self._connection.generation.Edit,
            request,
            image_options.get("timeout_s", self._timeout_s),
            request.request_id,
        )
        return [Image.from_message(image, image.index) for image in response.images]

    def stream_edit(
        self,
        sources: SourceLike | Iterable[SourceLike],
        moves: Mapping[str, Amount] | None = None,
        *,
        locks: Iterable[str] = (),
        sweep: Sweep | None = None,
        model: str | None = None,
        **image_options: Unpack[ImageOptions],
    ) -> AsyncGenerator[Image, None]:
        """Give any number of edits, in order, as they are ready; arguments as of `edit`.

        At most 10,000 sources, or a million seeds as a `range`.
        """
        request = requests.stream_edit(sources, moves, locks, sweep, model, image_options)
        return self._caller.images(
            self._connection.generation.StreamEdit,
            resume.edits(request),
            image_options.get("timeout_s", self._stream_timeout_s),
        )

    def interpolate(
        self,
        *keyframes: SourceLike,
        frames: int = 8,
        path: PathName | None = None,
        model: str | None = None,
        **image_options: Unpack[ImageOptions],
    ) -> AsyncGenerator[Image, None]:
        """Give a walk through 2 to 64 key frames, in order.

        From each to the next there are `frames` images, its own included; the last key frame adds one more. The path
        is spherical where both ends lie in the prior, and straight behind the mapping.
        """
        request = requests.interpolation(keyframes, frames, path, model, image_options)
        return self._caller.images(
            self._connection.generation.Interpolate,
            resume.interpolation(request),
            image_options.get("timeout_s", self._stream_timeout_s),
        )
