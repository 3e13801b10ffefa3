"""A model whose pixels can be computed by hand.

A point has three numbers: seed, happiness and masculine. Its image is 4 x 4 pixels of one colour,
(seed modulo 256, 100 + 10 * happiness, 100 + 10 * masculine), and the classifier reads the last two back. A step of
happiness moves masculine by half a step, unless masculine is locked. A walk mixes the points' numbers.
"""

import io

import numpy as np
import PIL.Image
from google.rpc import code_pb2, status_pb2

from pellucid.v1 import analysis_service_pb2, axis_pb2, image_pb2

PX = 4
CLASSES = tuple(f"breed {k}" for k in range(10))
Point = tuple[float, float, float]

_FORMATS = {0: "JPEG", 1: "JPEG", 2: "PNG", 3: "WEBP"}


def axes() -> list[axis_pb2.Axis]:
    """The two axes of the toy model, and four that look like them."""
    return [_axis("happiness"), _axis("masculine"), *(_axis(f"other_{k}", "happiness") for k in range(4))]


def point_of(source: image_pb2.Source) -> Point:
    """The numbers of a source."""
    match source.WhichOneof("source"):
        case "seed":
            return float(source.seed % 256), 0.0, 0.0
        case "latent":
            first, second, third = source.latent.values
            return first, second, third
    recipe = source.recipe
    match recipe.WhichOneof("origin"):
        case "seed":
            point: Point = (float(recipe.seed % 256), 0.0, 0.0)
        case "latent":
            point = point_of(image_pb2.Source(latent=recipe.latent))
        case _:
            walk = recipe.interpolation
            start, end = point_of(walk.start), point_of(walk.end)
            mixed = [a + (b - a) * walk.position for a, b in zip(start, end, strict=True)]
            point = (mixed[0], mixed[1], mixed[2])
    for applied in recipe.edits:
        point = _moved(point, applied.edit)
    return point


def colour(point: Point) -> tuple[int, int, int]:
    """The colour of a point's image."""
    seed, happiness, masculine = point
    return int(seed), int(100 + 10 * happiness), int(100 + 10 * masculine)


def _axis(name: str, label: str = "") -> axis_pb2.Axis:
    return axis_pb2.Axis(
        name=f"models/toy/axes/{name}",
        quantity=name,
        step_length=1,
        hard_limit_steps=6,
        linear_range_steps=4,
        extractor=f"models/labels#{label or name}",
        fit=axis_pb2.Fit(metric=axis_pb2.FIT_METRIC_R2, value=0.5, low=0.45, high=0.55, samples=100),
        effect=axis_pb2.Effect(per_step=1.0, standard_error=0.1, raised_share=1.0, samples=100),
        entanglement=[axis_pb2.Entanglement(axis="masculine", cosine=0.4, effect=0.5, effect_locked=0.0)],
    )


def _moved(point: Point, edit: image_pb2.EditSet) -> Point:
    seed, happiness, masculine = point
    for move in edit.moves:
        if move.axis == "masculine":
            masculine += move.steps
        else:
            happiness += move.steps
            masculine += 0.0 if "masculine" in edit.locks else move.steps / 2
    return seed, happiness, masculine


def encoded(point: Point, image_format: int) -> bytes:
    pixels = np.full((PX, PX, 3), colour(point), dtype=np.uint8)
    if image_format == image_pb2.IMAGE_FORMAT_RAW:
        return pixels.tobytes()
    stream = io.BytesIO()
    options = {"lossless": True} if image_format == image_pb2.IMAGE_FORMAT_WEBP else {}
    PIL.Image.fromarray(pixels).save(stream, _FORMATS[image_format], **options)
    return stream.getvalue()


def analysis(image: analysis_service_pb2.ImageInput, index: int) -> analysis_service_pb2.Analysis:
    if image.raw_height:
        pixels = np.frombuffer(image.data, dtype=np.uint8).reshape(image.raw_height, image.raw_width, 3)
    else:
        pixels = np.asarray(PIL.Image.open(io.BytesIO(image.data)).convert("RGB"))
    _, green, blue = (int(value) for value in pixels[0, 0])
    measurement = analysis_service_pb2.Measurement
    return analysis_service_pb2.Analysis(
        index=index,
        measurements=[
            measurement(label="happiness", value=(green - 100) / 10),
            measurement(label="masculine", value=(blue - 100) / 10),
        ],
    )


def result(image: analysis_service_pb2.ImageInput, index: int) -> analysis_service_pb2.AnalysisResult:
    try:
        return analysis_service_pb2.AnalysisResult(index=index, analysis=analysis(image, index))
    except OSError:
        status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="no picture")
        return analysis_service_pb2.AnalysisResult(index=index, error=status)
