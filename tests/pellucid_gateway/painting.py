"""A repository of hand-computable models for the fake backend.

`models/paint` turns a latent of 4 numbers into a flat 8 x 8 image (red, green, blue = 128 + 16 z[0..2]); its axes are
`red` (along z[0]), `green` (z[1], predicted label 10 + 5 steps), `warm` (z[0] and z[1] alike), `bare` (z[2], no linear
model) and `glow` (z[3], a probability with log odds 0 + 1 per step). `models/meter` measures mean red, green and blue.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors.numpy
from google.protobuf import json_format

from pellucid.v1 import axis_pb2, model_pb2
from pellucid_gateway.backends.base import ModelConfig, TensorSpec
from pellucid_gateway.backends.fake import FakeBackend, measure, paint

WEIGHTS = f"sha256:{'a' * 64}"
SPECS = {
    "latent": TensorSpec("float32", (4,)),
    "image": TensorSpec("uint8", (8, 8, 3)),
    "labels": TensorSpec("float32", (3,)),
}
UNIT = {
    "red": [1, 0, 0, 0],
    "green": [0, 1, 0, 0],
    "warm": [np.sqrt(0.5), np.sqrt(0.5), 0, 0],
    "bare": [0, 0, 1, 0],
    "glow": [0, 0, 0, 1],
}


def paint_card(**changes: object) -> model_pb2.Model:
    fields = {
        "name": "models/paint",
        "task": model_pb2.TASK_GENERATE,
        "height": 8,
        "width": 8,
        "latent": model_pb2.LatentPrior(size=4, prior=model_pb2.PRIOR_NORMAL),
        "stages": [model_pb2.Stage(role="synthesis", model="paint", inputs=["latent"], outputs=["image"])],
    }
    return model_pb2.Model(**(fields | changes))


def meter_card() -> model_pb2.Model:
    return model_pb2.Model(
        name="models/meter",
        task=model_pb2.TASK_CLASSIFY,
        height=8,
        width=8,
        labels=[
            model_pb2.Label(name=name, kind=model_pb2.LABEL_KIND_QUANTITY, unit="level")
            for name in ("red", "green", "blue")
        ],
        stages=[model_pb2.Stage(role="classifier", model="meter", inputs=["image"], outputs=["labels"])],
    )


def specs(*names: str) -> dict[str, TensorSpec]:
    return {name: SPECS[name] for name in names}


def config(card: model_pb2.Model) -> ModelConfig:
    image = {"image": TensorSpec("uint8", (card.height, card.width, 3))}

    def known(names: Iterable[str]) -> dict[str, TensorSpec]:
        return {name: (SPECS | image)[name] for name in names}

    return ModelConfig(
        inputs=known(card.stages[0].inputs),
        outputs=known(card.stages[0].outputs),
        max_batch_size=16,
        parameters={"pellucid.card": json_format.MessageToJson(card)},
    )


def backend(**changes: object) -> FakeBackend:
    return FakeBackend({"paint": (config(paint_card(**changes)), paint), "meter": (config(meter_card()), measure)})


def axes() -> list[axis_pb2.Axis]:
    common = {"step_length": 1.0, "linear_range_steps": 3.0, "hard_limit_steps": 6.0}
    return [
        axis_pb2.Axis(name="red", quantity="red", link=axis_pb2.LINK_IDENTITY, intercept=128, slope=16, **common),
        axis_pb2.Axis(name="green", quantity="green", link=axis_pb2.LINK_IDENTITY, intercept=10, slope=5, **common),
        axis_pb2.Axis(name="warm", quantity="warmth", **common),
        axis_pb2.Axis(name="bare", quantity="blue", **common),
        axis_pb2.Axis(name="glow", quantity="glow", link=axis_pb2.LINK_LOGIT, intercept=0, slope=1, **common),
    ]


def write_axes(folder: Path, name: str, members: list[axis_pb2.Axis], weights: str | None = WEIGHTS) -> Path:
    axis_set = axis_pb2.AxisSet(name=name, axes=members, weights_digest=weights)
    axis_set.create_time.FromSeconds(1_700_000_000)
    rows = np.array([UNIT[axis.name] for axis in members], dtype=np.float64)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.safetensors"
    safetensors.numpy.save_file({"directions": rows}, file, {"axis_set": json_format.MessageToJson(axis_set)})
    return file


def write_repository(root: Path) -> Path:
    for model in ("paint", "meter"):
        folder = root / model / "1"
        folder.mkdir(parents=True)
        (root / model / "config.pbtxt").touch()
        (folder / "version.json").write_text(json.dumps({"name": "1", "weightsDigest": WEIGHTS}))
    write_axes(root / "paint" / "1" / "axes", "colours", axes())
    return root
