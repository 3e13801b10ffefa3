"""Hand-computable translators, for the fake backend.

`models/barber` (StarGAN's way, 8 x 8 or multiples of 4) adds 10 times the first domain number to red, 20 times the second
to green, 30 times the third to blue; its sets are `looks` (dark and fair exclude each other, and hat) and `moods` (calm
or wild), and its source labels come from `models/judge`, which says fair where red is above 100, and hat where blue is.
`models/seasons` inverts pixels from summer to winter, and halves them back. `models/town` paints scenes of 3 labels:
red 50 times the label, green 10 times the instance's row, blue 100 times the first feature of it; it measures the
features of an example as its mean red over 100. `models/lace` drops pixels: red where kept, of fixed size 4 x 4.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from google.protobuf import json_format

from pellucid.v1 import model_pb2, translation_pb2
from pellucid_gateway.backends.base import ModelConfig, Tensor, TensorSpec
from pellucid_gateway.backends.fake import FakeBackend
from tests.pellucid_gateway.painting import WEIGHTS

Inputs = Mapping[str, Tensor]

SPECS = {
    "source": TensorSpec("uint8", (-1, -1, 3)),
    "image": TensorSpec("uint8", (-1, -1, 3)),
    "domain": TensorSpec("float32", (7,)),
    "label_map": TensorSpec("uint8", (-1, -1)),
    "instance_map": TensorSpec("int32", (-1, -1)),
    "features": TensorSpec("float32", (4, 1)),
    "dropout": TensorSpec("uint8", (16,)),
    "labels": TensorSpec("float32", (3,)),
}


def levels(colours: np.ndarray) -> Tensor:
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def cut_hair(inputs: Inputs) -> dict[str, Tensor]:
    added = np.asarray(inputs["domain"])[:, None, None, :3] * [10, 20, 30]
    moods = np.asarray(inputs["domain"])[:, None, None, 3:5].sum(axis=-1, keepdims=True)
    return {"image": levels(np.asarray(inputs["source"], float) + added + 100 * moods)}


def winter(inputs: Inputs) -> dict[str, Tensor]:
    return {"image": 255 - np.asarray(inputs["source"], np.uint8)}


def summer(inputs: Inputs) -> dict[str, Tensor]:
    return {"image": np.asarray(inputs["source"], np.uint8) // 2}


def build(inputs: Inputs) -> dict[str, Tensor]:
    labels, rows = np.asarray(inputs["label_map"], float), np.asarray(inputs["instance_map"])
    features = np.stack([one[row] for one, row in zip(np.asarray(inputs["features"]), rows, strict=True)])
    return {"image": levels(np.stack([50 * labels, 10 * rows, 100 * features[..., 0]], axis=-1))}


def survey(inputs: Inputs) -> dict[str, Tensor]:
    features = np.zeros((len(inputs["source"]), 4, 1), np.float32)
    for one, source, rows in zip(features, inputs["source"], inputs["instance_map"], strict=True):
        for row in np.unique(rows):
            one[row] = source[rows == row][:, 0].mean() / 100
    return {"features": features}


def knit(inputs: Inputs) -> dict[str, Tensor]:
    kept = np.asarray(inputs["dropout"]).reshape(-1, 4, 4, 1)
    return {"image": np.asarray(inputs["source"] * kept, np.uint8)}


def judge(inputs: Inputs) -> dict[str, Tensor]:
    means = np.asarray(inputs["image"], float).mean(axis=(1, 2))
    return {"labels": np.stack([means[:, 0] <= 100, means[:, 0] > 100, means[:, 2] > 100], axis=1).astype(np.float32)}


def stage(role: str, model: str, inputs: list[str], outputs: tuple[str, ...] = ("image",)) -> model_pb2.Stage:
    return model_pb2.Stage(role=role, model=model, inputs=inputs, outputs=outputs)


def card(name: str, size: int = 8, **fields: object) -> model_pb2.Model:
    common = {"name": f"models/{name}", "task": model_pb2.TASK_TRANSLATE, "height": size, "width": size}
    return model_pb2.Model(**(common | fields))


def sizes(**fields: object) -> translation_pb2.Sizes:
    free = {
        "height_multiple": 4,
        "width_multiple": 4,
        "max_px": 4096,
        "default_fit": translation_pb2.FIT_MODE_PAD,
        "resampling": translation_pb2.RESAMPLING_BILINEAR,
    }
    return translation_pb2.Sizes(**(free | fields))


LOOKS = translation_pb2.DomainSet(
    name="looks",
    offset=0,
    names=["dark", "fair", "hat"],
    groups=[translation_pb2.ExclusiveGroup(names=["dark", "fair"])],
    mask=5,
)
MOODS = translation_pb2.DomainSet(name="moods", offset=3, names=["calm", "wild"], exclusive=True, mask=6)
CARDS = (
    card(
        "barber",
        translation=translation_pb2.Translation(
            sizes=sizes(center_crop=6),
            domains=translation_pb2.Domains(size=7, sets=[LOOKS, MOODS], source_classifier="models/judge"),
        ),
        stages=[stage("translator", "barber", ["source", "domain"])],
    ),
    card(
        "seasons",
        translation=translation_pb2.Translation(
            sizes=sizes(),
            directions=[
                translation_pb2.Direction(name="summer2winter", stage="a_to_b", back="winter2summer"),
                translation_pb2.Direction(name="winter2summer", stage="b_to_a"),
            ],
        ),
        stages=[stage("b_to_a", "seasons.b_to_a", ["source"]), stage("a_to_b", "seasons", ["source"])],
    ),
    card(
        "town",
        translation=translation_pb2.Translation(
            sizes=sizes(height_multiple=1, width_multiple=1),
            label_map=translation_pb2.LabelMapInput(count=3, names=["road", "car", "tree"], instances=True),
            features=translation_pb2.FeatureInput(
                size=1, max_instances=4, clusters_asset="clusters.json", encoder_stage="feature_encoder"
            ),
        ),
        stages=[
            stage("feature_encoder", "town.feature_encoder", ["source", "instance_map"], ("features",)),
            stage("generator", "town", ["label_map", "instance_map", "features"]),
        ],
    ),
    card(
        "lace",
        size=4,
        translation=translation_pb2.Translation(
            sizes=sizes(fixed=True, default_fit=translation_pb2.FIT_MODE_RESIZE),
            dropout=translation_pb2.DropoutInput(size=16, keep=0.5),
        ),
        stages=[stage("translator", "lace", ["source", "dropout"])],
    ),
    model_pb2.Model(
        name="models/judge",
        task=model_pb2.TASK_CLASSIFY,
        height=8,
        width=8,
        labels=[model_pb2.Label(name=name, kind=model_pb2.LABEL_KIND_PROBABILITY) for name in ("dark", "fair", "hat")],
        stages=[stage("classifier", "judge", ["image"], ("labels",))],
    ),
)
COMPUTE = {
    "barber": cut_hair,
    "seasons": winter,
    "seasons.b_to_a": summer,
    "town": build,
    "town.feature_encoder": survey,
    "lace": knit,
    "judge": judge,
}
CLUSTERS = {"0": [[0.5]], "1": [[1.0], [1.5], [2.0], [2.5]]}


def config(one: model_pb2.Stage, carrier: model_pb2.Model) -> ModelConfig:
    fixed = {"image": TensorSpec("uint8", (carrier.height, carrier.width, 3))}
    specs = SPECS | (fixed if carrier.translation.sizes.fixed or carrier.task == model_pb2.TASK_CLASSIFY else {})
    is_primary = one.model == carrier.name.removeprefix("models/")
    return ModelConfig(
        inputs={name: specs[name] for name in one.inputs},
        outputs={name: specs[name] for name in one.outputs},
        max_batch_size=4,
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
        (repository / name / "1" / "version.json").write_text(json.dumps({"name": "1", "weightsDigest": WEIGHTS}))
        if name == "town":
            (repository / name / "1" / "clusters.json").write_text(json.dumps(CLUSTERS))
