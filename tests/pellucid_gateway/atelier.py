"""Hand-computable models with controls, for the fake backend.

`models/tailor` has three layers and two classes. Its mapping gives each layer 2 z + (label[1], 0); its synthesis
truncates layers below the cut-off towards (1, 0) and paints red, green and blue = 128 + 8 times the first number of
layers 0, 1 and 2, and adds 50 times noise_strength to blue, or 10 times the first number of seeded noise.
`models/zoo` has three classes and a truncated normal that truncation scales: red, green and blue are 100 times the
shares of its classes, plus 16 z[0] in red and 20 truncation in blue.
`models/scribe` reads captions: red is the sum of its tokens, green their count, blue 128 + 16 conditioning_noise[0].
`models/sketch` takes a vector of three conditions: red, green and blue.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from google.protobuf import json_format

from pellucid.v1 import axis_pb2, latent_pb2, model_pb2
from pellucid_gateway.backends.base import ModelConfig, Tensor, TensorSpec
from pellucid_gateway.backends.fake import FakeBackend
from tests.pellucid_gateway.painting import WEIGHTS

SPECS = {
    "latent": TensorSpec("float32", (2,)),
    "style": TensorSpec("float32", (3, 2)),
    "truncation_cutoff": TensorSpec("int64", (1,)),
    "noise_strength": TensorSpec("float32", (1,)),
    "noise": TensorSpec("float32", (4,)),
    "noise_seeded": TensorSpec("float32", (1,)),
    "tokens": TensorSpec("int64", (4,)),
    "token_count": TensorSpec("int64", (1,)),
    "conditioning_noise": TensorSpec("float32", (2,)),
    "condition": TensorSpec("float32", (3,)),
    "words": TensorSpec("float32", (4,)),
    "image": TensorSpec("uint8", (8, 8, 3)),
    "image_4": TensorSpec("uint8", (4, 4, 3)),
    "attention_4": TensorSpec("float32", (4, 4, 4)),
}
TRUNCATION = {"tailor": TensorSpec("float32", (1,)), "zoo": TensorSpec("float64", (1,))}
LABEL = {"tailor.mapping": TensorSpec("float32", (2,)), "zoo": TensorSpec("float32", (3,))}
VOCABULARY = {"a": 1, "red": 2, "bird": 3, "small": 4}
CENTRE = np.array([1, 0], dtype=np.float32)

Inputs = Mapping[str, Tensor]


def flat(colours: np.ndarray, size: int = 8) -> Tensor:
    levels = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels[:, None, None, :], (len(levels), size, size, 3)))


def drape(inputs: Inputs) -> dict[str, Tensor]:
    style = 2 * np.asarray(inputs["latent"], np.float32)
    style[:, 0] += np.asarray(inputs["label"], np.float32)[:, 1]
    return {"style": np.repeat(style[:, None], 3, axis=1)}


def sew(inputs: Inputs) -> dict[str, Tensor]:
    style = np.asarray(inputs["style"], np.float64)
    below = np.arange(3) < np.asarray(inputs["truncation_cutoff"])
    share = np.where(below, np.asarray(inputs["truncation"], np.float64), 1.0)[..., None]
    colours = 128 + 8 * (CENTRE + share * (style - CENTRE))[:, :, 0]
    seeded = np.asarray(inputs["noise_seeded"])[:, 0] > 0
    noise = np.where(seeded, 10 * np.asarray(inputs["noise"])[:, 0], 50.0)
    colours[:, 2] += noise * np.asarray(inputs["noise_strength"])[:, 0]
    return {"image": flat(colours)}


def keep(inputs: Inputs) -> dict[str, Tensor]:
    colours = 100.0 * np.asarray(inputs["label"], np.float64)
    colours[:, 0] += 16 * np.asarray(inputs["latent"], np.float64)[:, 0]
    colours[:, 2] += 20 * np.asarray(inputs["truncation"], np.float64)[:, 0]
    return {"image": flat(colours)}


def read(inputs: Inputs) -> dict[str, Tensor]:
    known = np.arange(4) < np.asarray(inputs["token_count"])
    return {"words": np.where(known, inputs["tokens"], 0).astype(np.float32)}


def write(inputs: Inputs) -> dict[str, Tensor]:
    words = np.asarray(inputs["words"], np.float64)
    noise = np.asarray(inputs["conditioning_noise"], np.float64)[:, 0]
    colours = np.stack([words.sum(axis=1), (words > 0).sum(axis=1), 128 + 16 * noise], axis=1)
    shares = words / words.sum(axis=1, keepdims=True)
    attention = np.broadcast_to(shares[:, :, None, None], (len(words), 4, 4, 4)).astype(np.float32)
    return {"image": flat(colours), "image_4": flat(colours, 4), "attention_4": attention}


def colour(inputs: Inputs) -> dict[str, Tensor]:
    return {"image": flat(np.asarray(inputs["condition"], np.float64))}


def stage(role: str, model: str, inputs: list[str], outputs: list[str]) -> model_pb2.Stage:
    return model_pb2.Stage(role=role, model=model, inputs=inputs, outputs=outputs)


def card(name: str, **fields: object) -> model_pb2.Model:
    common = {
        "name": f"models/{name}",
        "task": model_pb2.TASK_GENERATE,
        "height": 8,
        "width": 8,
        "latent": model_pb2.LatentPrior(size=2, prior=model_pb2.PRIOR_NORMAL),
    }
    return model_pb2.Model(**(common | fields))


NOISES = ["noise_strength", "noise", "noise_seeded"]
CARDS = (
    card(
        "tailor",
        latent=model_pb2.LatentPrior(
            size=2, prior=model_pb2.PRIOR_NORMAL, official_sampler=model_pb2.OFFICIAL_SAMPLER_RANDN
        ),
        classes=model_pb2.ClassList(names=["Silk", "Wool"]),
        truncation=model_pb2.TruncationRange(min=-1, max=1, default_value=0.5, layers=3, default_cutoff=2),
        style_layers=model_pb2.StyleLayers(count=3),
        noise=model_pb2.NoiseInput(seeded=True, size=4),
        stages=[
            stage("mapping", "tailor.mapping", ["latent", "label"], ["style"]),
            stage("synthesis", "tailor", ["style", "truncation", "truncation_cutoff", *NOISES], ["image"]),
        ],
    ),
    card(
        "zoo",
        latent=model_pb2.LatentPrior(
            size=2,
            prior=model_pb2.PRIOR_TRUNCATED_NORMAL,
            truncation_bound=2,
            official_sampler=model_pb2.OFFICIAL_SAMPLER_TRUNCNORM,
        ),
        classes=model_pb2.ClassList(names=["great ape", "bee", "crane"]),
        truncation=model_pb2.TruncationRange(min=0.01, max=1, default_value=0.4, scales_prior=True),
        stages=[stage("generator", "zoo", ["latent", "label", "truncation"], ["image"])],
    ),
    card(
        "scribe",
        task=model_pb2.TASK_CAPTION_TO_IMAGE,
        caption=model_pb2.CaptionInput(
            max_tokens=4,
            vocabulary_asset="vocabulary.json",
            attention=[model_pb2.ImageOutput(tensor="attention_4", height=4, width=4)],
        ),
        conditioning=model_pb2.ConditioningNoise(size=2),
        intermediates=[model_pb2.ImageOutput(tensor="image_4", height=4, width=4)],
        stages=[
            stage("text_encoder", "scribe.text_encoder", ["tokens", "token_count"], ["words"]),
            stage(
                "generator",
                "scribe",
                ["latent", "conditioning_noise", "words"],
                ["image", "image_4", "attention_4"],
            ),
        ],
    ),
    card(
        "sketch",
        condition=model_pb2.ConditionVector(size=3, description="red, green and blue"),
        stages=[stage("generator", "sketch", ["latent", "condition"], ["image"])],
    ),
)
COMPUTE = {
    "tailor.mapping": drape,
    "tailor": sew,
    "zoo": keep,
    "scribe.text_encoder": read,
    "scribe": write,
    "sketch": colour,
}


def config(one: model_pb2.Stage, carrier: model_pb2.Model) -> ModelConfig:
    special = {"truncation": TRUNCATION.get(one.model), "label": LABEL.get(one.model)}
    specs = SPECS | {name: spec for name, spec in special.items() if spec}
    is_primary = one.model == carrier.name.removeprefix("models/")
    return ModelConfig(
        inputs={name: specs[name] for name in one.inputs},
        outputs={name: specs[name] for name in one.outputs},
        max_batch_size=16,
        parameters={"pellucid.card": json_format.MessageToJson(carrier)} if is_primary else {},
    )


def open_for(backend: FakeBackend, repository: Path) -> None:
    """Add the models to a backend and a repository."""
    for carrier in CARDS:
        name = carrier.name.removeprefix("models/")
        for one in carrier.stages:
            backend.models[one.model] = (config(one, carrier), COMPUTE[one.model])
            (repository / one.model / "1").mkdir(parents=True)
            (repository / one.model / "config.pbtxt").touch()
        version = repository / name / "1"
        (version / "version.json").write_text(json.dumps({"name": "1", "weightsDigest": WEIGHTS}))
        if name == "scribe":
            (version / "vocabulary.json").write_text(json.dumps(VOCABULARY))
        if name == "tailor":
            write_axes(version / "axes")


def write_axes(folder: Path) -> None:
    """`wide` moves all layers by 2 a step, `hem` layer 2 alone by 1; `length` lies in Z."""
    wide = axis_pb2.Axis(
        name="wide", quantity="width", space=latent_pb2.SPACE_W, step_length=2.0, intercept=10, slope=5
    )
    wide.link = axis_pb2.LINK_IDENTITY
    hem = axis_pb2.Axis(
        name="hem", space=latent_pb2.SPACE_W, step_length=1.0, layers=latent_pb2.LayerRange(first=2, last=2)
    )
    length = axis_pb2.Axis(name="length", space=latent_pb2.SPACE_Z, step_length=1.0)
    folder.mkdir()
    for name, members in (("behind", [wide, hem]), ("before", [length])):
        axis_set = axis_pb2.AxisSet(name=name, axes=members)
        rows = np.array([[1.0, 0.0]] * len(members))
        metadata = {"axis_set": json_format.MessageToJson(axis_set)}
        safetensors.numpy.save_file({"directions": rows}, folder / f"{name}.safetensors", metadata)
