"""Computed tensors to images of the API."""

from collections.abc import Mapping

import numpy as np

from pellucid.v1 import image_pb2, model_pb2
from pellucid_gateway import images
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.chain import IMAGE
from pellucid_gateway.errors import Refused
from pellucid_gateway.images import Pixels
from pellucid_gateway.plans import Plan, Slice


def outputs(plan: Plan) -> tuple[str, ...]:
    """Name the tensors that a job's images are made of."""
    return (IMAGE, *(output.tensor for output in (*_intermediates(plan), *_attention(plan))))


def worst_case_bytes(plan: Plan) -> int:
    """Bound the encoded size of one image with all that was asked for beside it."""
    card, job = plan.served.card, plan.job
    renditions = [(card.height, card.width), *((one.height, one.width) for one in _intermediates(plan))]
    maps = sum(one.height * one.width + 256 for one in _attention(plan)) * card.caption.max_tokens
    latent = max(card.latent.size, plan.served.chain.style[0] * plan.served.chain.style[1]) * 4
    pixels = sum(images.worst_case_bytes(height, width, job.image_format, job.quality) for height, width in renditions)
    return pixels + maps + (latent if job.include_latent else 0)


def render(plan: Plan, part: Slice, tensors: Mapping[str, Tensor]) -> list[image_pb2.Image]:
    """Encode a slice's images. Raises Refused where the model gives no pixels."""
    pixels = _pixels(plan, tensors[IMAGE])
    return [_image(plan, part, tensors, pixels[row], row) for row in range(len(pixels))]


def _image(plan: Plan, part: Slice, tensors: Mapping[str, Tensor], pixels: Pixels, row: int) -> image_pb2.Image:
    job = plan.job
    data = images.encode(pixels, job.image_format, job.quality)
    image = image_pb2.Image(
        index=part.first + row,
        format=job.image_format,
        height=pixels.shape[0],
        width=pixels.shape[1],
        data=data,
        data_size=len(data),
        recipe=part.origins[row].recipe,
        axis_moves=part.told.axis_moves[row],
        warnings=part.told.warnings[row],
    )
    if job.include_latent:
        image.latent.CopyFrom(part.latents[row])
    for output in _intermediates(plan):
        smaller = _pixels(plan, tensors[output.tensor])[row]
        encoded = images.encode(smaller, job.image_format, job.quality)
        image.intermediates.add(height=smaller.shape[0], width=smaller.shape[1], data=encoded)
    for output in _attention(plan):
        words = part.origins[row].conditions.tokens.words
        image.attention.extend(_map(word, at) for word, at in zip(words, tensors[output.tensor][row], strict=False))
    return image


def _map(word: str, weights: Tensor) -> image_pb2.AttentionMap:
    """Tell of one word's weights (H, W)."""
    shares = np.asarray(weights, dtype=np.float32)
    largest = float(shares.max())
    levels = np.rint(shares * (255 / largest)) if largest > 0 else np.zeros_like(shares)
    height, width = shares.shape
    return image_pb2.AttentionMap(
        word=word, height=height, width=width, weights=levels.astype(np.uint8).tobytes(), largest=largest
    )


def _pixels(plan: Plan, tensor: Tensor) -> Pixels:
    if tensor.dtype != np.uint8:
        raise Refused(
            "NO_PIXELS",
            f"{plan.served.card.name} gives {tensor.dtype} for research; export it with uint8 pixels to serve it",
        )
    return np.asarray(tensor, np.uint8)


def _intermediates(plan: Plan) -> list[model_pb2.ImageOutput]:
    return list(plan.served.card.intermediates) if plan.job.include_intermediates else []


def _attention(plan: Plan) -> list[model_pb2.ImageOutput]:
    return list(plan.served.card.caption.attention) if plan.job.include_attention else []
