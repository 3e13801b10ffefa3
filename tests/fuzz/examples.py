"""Valid requests of every kind, to begin from."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from pellucid.v1 import image_pb2
from pellucid.v1 import translation_service_pb2 as translation_pb2
from tests.fuzz.pictures import LABELS, PICTURES, encoded

RAMP = {"data": PICTURES[1]}
SCENE = {"label_map": {"data": encoded(LABELS, "PNG")}, "instance_map": {"data": encoded(LABELS, "PNG")}}
SEEDS = [{"seed": 7}, {"seed": 8}]
PNG = {"format": image_pb2.IMAGE_FORMAT_PNG, "include_latent": True, "include_intermediates": True}
EDITS = [{"relabel": {"instance": 1, "label": 2}}, {"remove": {"instance": 2}}]
TAILORED = {
    "classes": [{"name": "Silk"}, {"index": 1, "weight": 2}],
    "truncation": 0.7,
    "style_mixes": [{"source": {"seed": 3}, "layers": {"first": 0, "last": 1}}],
    "noise_strength": 0.5,
    "noise_seed": 5,
}
RECIPE = {
    "model": "models/paint",
    "version": "1",
    "weights_digest": f"sha256:{'a' * 64}",
    "seed": 4,
    "sampler_version": 1,
}
MOVED = RECIPE | {"edits": [{"edit": {"moves": [{"axis": "red", "steps": 1}], "locks": ["green"]}}]}
BETWEEN = {key: value for key, value in RECIPE.items() if key != "seed"} | {
    "interpolation": {"start": {"seed": 1}, "end": {"seed": 2}, "position": 0.5}
}
PAINT, TAILOR, ZOO = {"model": "models/paint"}, {"model": "models/tailor"}, {"model": "models/zoo"}
SCRIBE = {"model": "models/scribe", "controls": {"caption": "a small red bird", "conditioning_noise": [1, 2]}}
SKETCH = {"model": "models/sketch", "controls": {"condition": [10, 20, 30]}}
GENERATED = (
    PAINT | {"seeds": {"first": 5, "count": 20}, "output": PNG},
    PAINT | {"sources": [{"latent": {"values": [1, -1, 0.5, 0]}}, {"recipe": MOVED}, {"recipe": BETWEEN}]},
    TAILOR | {"sources": SEEDS, "controls": TAILORED, "output": PNG},
    TAILOR | {"sources": [{"seed": 1, "sampler": image_pb2.SAMPLER_OFFICIAL}], "controls": {"classes": [{"index": 0}]}},
    ZOO | {"sources": SEEDS, "controls": {"classes": [{"name": "bee"}], "truncation": 0.4}},
    SCRIBE | {"sources": SEEDS, "output": PNG | {"include_attention": True}},
    SKETCH | {"seeds": {"first": 1, "count": 2}},
)
EDITED = (
    PAINT | {"sources": SEEDS, "edit": {"moves": [{"axis": "red", "steps": 1}], "locks": ["green"]}, "output": PNG},
    PAINT | {"sources": [{"recipe": MOVED}], "sweep": {"axis": "glow", "unit": 2, "amounts": [0.2, 0.8]}},
    PAINT | {"sources": SEEDS, "edit": {"moves": [{"axis": "green", "target": 12}]}},
    TAILOR | {"sources": SEEDS, "edit": {"moves": [{"axis": "hem", "distance": 1}]}, "controls": TAILORED},
)
WALKED = (
    PAINT | {"keyframes": [*SEEDS, {"recipe": MOVED}], "frames_per_segment": 3, "path": image_pb2.PATH_SPHERICAL},
    TAILOR | {"keyframes": SEEDS, "controls": TAILORED},
)
BARBER = {"domain": {"set": "looks", "change": ["hat"]}}
TRANSLATED: tuple[dict[str, Any], ...] = (
    {"model": "models/barber", "source": {"image": RAMP}, "targets": [BARBER, {"domain": {"values": {"dark": 1}}}]},
    {"model": "models/barber", "source": {"image": RAMP, "labels": {"fair": 1}}, "all_domains": True},
    {"model": "models/seasons", "source": {"image": RAMP}, "targets": [{"direction": "summer2winter", "cycle": True}],
     "fit": {"mode": 3}},
    {"model": "models/town", "source": {"scene": SCENE | {"edits": EDITS}}, "targets": [{"style": {"seed": 3}}]},
    {"model": "models/town", "source": {"scene": SCENE}, "targets": [{"style": {"example": RAMP}}]},
    {"model": "models/lace", "source": {"image": RAMP}, "targets": [{"dropout_seed": 9}], "fit": {"official": True}},
)  # fmt: skip
ANALYSED = (
    {"model": "models/meter", "images": [RAMP, {"data": PICTURES[0], "raw_height": 8, "raw_width": 8}]},
    {"model": "models/judge", "images": [RAMP]},
)
EXAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "ListModelsRequest": ({"page_size": 1}, {"task": 3}),
    "GetModelRequest": ({"name": "models/paint"},),
    "ListAxesRequest": ({"parent": "models/paint", "page_size": 2}, {"parent": "models/tailor", "version": "1"}),
    "GetAxisRequest": ({"name": "models/paint/axes/red"},),
    "ListClassesRequest": ({"parent": "models/zoo", "query": "a"},),
    "GenerateRequest": GENERATED,
    "StreamGenerateRequest": GENERATED,
    "EditRequest": EDITED,
    "StreamEditRequest": EDITED,
    "InterpolateRequest": WALKED,
    "RenderImageRequest": (
        PAINT | {"seed": 3, "moves": ["red:+2"], "locks": ["green"]},
        ZOO | {"format": 3, "controls": {"classes": [{"index": 2}]}},
    ),
    "AnalyzeRequest": ANALYSED,
    "StreamAnalyzeRequest": ANALYSED,
    "TranslateRequest": TRANSLATED,
    "ReloadModelRequest": ({"name": "models/paint"},),
    "SetVersionWeightsRequest": ({"name": "models/paint", "weights": {"1": 1}},),
    "DrainRequest": ({"undo": True},),
}


def examples(kind: Descriptor) -> list[Message]:
    """Valid requests of a kind."""
    if kind.name == "StreamTranslateRequest":
        return list(_streamed())
    return [message_factory.GetMessageClass(kind)(**fields) for fields in EXAMPLES[kind.name]]


def _streamed() -> Iterator[translation_pb2.StreamTranslateRequest]:
    for fields in TRANSLATED:
        start = {key: value for key, value in fields.items() if key != "source"}
        yield translation_pb2.StreamTranslateRequest(start=start)
        yield translation_pb2.StreamTranslateRequest(item={"source": fields["source"]})
    half = len(PICTURES[0]) // 2
    parts = {"data": PICTURES[0][:half], "data_size": 2 * half, "raw_height": 8, "raw_width": 8}
    yield translation_pb2.StreamTranslateRequest(item={"source": {"image": parts}})
    yield translation_pb2.StreamTranslateRequest(more=PICTURES[0][half:])
