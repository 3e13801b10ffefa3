"""Keyword options: those of a client, and those that calls share."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import grpc

from pellucid.v1 import image_pb2
from pellucid_client.choices import known
from pellucid_client.controls import Controls
from pellucid_client.image import FORMATS
from pellucid_client.rendition import FormatName
from pellucid_client.retry import RetryPolicy

PriorityName = Literal["interactive", "bulk"]
SamplerName = Literal["pellucid", "official"]

_PRIORITIES: dict[PriorityName, image_pb2.Priority.ValueType] = {
    "interactive": image_pb2.PRIORITY_INTERACTIVE,
    "bulk": image_pb2.PRIORITY_BULK,
}

_SAMPLERS: dict[SamplerName, image_pb2.Sampler.ValueType] = {
    "pellucid": image_pb2.SAMPLER_PELLUCID,
    "official": image_pb2.SAMPLER_OFFICIAL,
}


class ClientOptions(TypedDict, total=False):
    """Options of a client."""

    credentials: grpc.ChannelCredentials
    """TLS, as of grpc.ssl_channel_credentials(). Default: plain text."""
    api_key: str
    """Sent as `authorization: Bearer KEY`, in clear where there are no credentials. Default: none."""
    metadata: Sequence[tuple[str, str]]
    """Sent with every call. Default: nothing."""
    timeout_s: float
    """Time of a unary call that gives none of its own. Default 30."""
    stream_timeout_s: float
    """Time of a whole stream that gives none of its own. Default 600."""
    retry: RetryPolicy
    """How failed calls are repeated. Default: RetryPolicy()."""


class CallOptions(TypedDict, total=False):
    """Options of every call that computes something."""

    version: str
    """Default: the version of the first recipe among the sources, else the model's default version."""
    priority: PriorityName
    """Default: "interactive" for unary calls, "bulk" for streams."""
    request_id: str
    """At most 64 characters, logged by the gateway. Default: a new UUID."""
    timeout_s: float
    """Time for the whole call, its repetitions included. Default: the client's."""


class PictureOptions(CallOptions, total=False):
    """Options of calls that give pictures."""

    format: FormatName
    """Default "jpeg"; "webp" and "png" hold the exact pixels, "raw" is the pixels."""
    quality: int
    """Of JPEG, 1 to 100. Default 90."""


class ImageOptions(PictureOptions, total=False):
    """Options of calls that make images from latents."""

    include_latent: bool
    """Also return the latent each image was made from. Default False."""
    include_intermediates: bool
    """Also return the smaller renditions that the generator gives on its way. Default False."""
    include_attention: bool
    """Also return how much of the image each word of the caption drew on. Default False."""
    sampler: SamplerName
    """How seeds become latents, those of style mixes too: "official" as the official scripts of the model's family do
    it, for seeds below 2^32, at most 64 in a call and 10,000 in a stream. Default "pellucid"."""
    controls: Controls
    """The model's own controls. Default: the recipe's, else the model's."""


def check(options: Mapping[str, Any], kind: type) -> None:
    """Raise TypeError for an option that there is not."""
    unknown = sorted(set(options) - set(kind.__annotations__))
    if unknown:
        raise TypeError(f"unexpected {', '.join(unknown)}; the options are {', '.join(kind.__annotations__)}")


def request_id(options: CallOptions) -> str:
    """Return the request's identifier; all attempts of one call share it."""
    return options.get("request_id") or str(uuid.uuid4())


def priority(options: CallOptions) -> image_pb2.Priority.ValueType:
    """Return the priority, unspecified where none is given."""
    if "priority" not in options:
        return image_pb2.PRIORITY_UNSPECIFIED
    return known("priority", options["priority"], _PRIORITIES)


def encoding(options: PictureOptions) -> image_pb2.OutputOptions:
    """Return how pictures are to come back."""
    return image_pb2.OutputOptions(
        format=known("format", options.get("format", "jpeg"), FORMATS), quality=options.get("quality")
    )


def output(options: ImageOptions) -> image_pb2.OutputOptions:
    """Return what is to come back for each image."""
    wanted = encoding(options)
    wanted.include_latent = options.get("include_latent", False)
    wanted.include_intermediates = options.get("include_intermediates", False)
    wanted.include_attention = options.get("include_attention", False)
    return wanted


def sampler(options: ImageOptions) -> image_pb2.Sampler.ValueType:
    """Return how seeds become latents, unspecified where nothing is said."""
    if "sampler" not in options:
        return image_pb2.SAMPLER_UNSPECIFIED
    return known("sampler", options["sampler"], _SAMPLERS)


def controls(options: ImageOptions) -> image_pb2.Controls | None:
    """Return the controls, or None where none were given, so that a recipe's apply."""
    return options["controls"].message(sampler(options)) if "controls" in options else None
