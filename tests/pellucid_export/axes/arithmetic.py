"""A model repository whose generator and classifier are arithmetic, so that every axis is known beforehand.

The generator writes coordinate k of the latent into a pixel: red of pixel k is 128 + 25 * z_k, rounded.
The classifier reads the coordinates c back and gives
    tilt    = 3 + 2 * c_0, in degrees;
    open    = sigmoid(1 + 2 * (0.6 * c_0 + 0.8 * c_1)), a probability;
    bent    = c_2 + (c_3^2 - 1) / sqrt(2): half of its variance is linear in the latent.
"""

import hashlib
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser, save_model

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    LABEL_KIND_PROBABILITY,
    LABEL_KIND_QUANTITY,
    PRIOR_NORMAL,
    TASK_CLASSIFY,
    TASK_GENERATE,
    Label,
    LatentPrior,
    LatentSpace,
    Model,
    Stage,
    Version,
)
from pellucid_export import card, triton
from pellucid_export.family import Signature, Tensor
from pellucid_export.form import Form
from pellucid_export.repository import Repository, write_version

SIZE = 4
WEIGHTS = f"sha256:{'a' * 64}"

_HEADER = '<ir_version: 10, opset_import: ["" : 18]>'
_GENERATOR = """
generator (float[n, 4] latent) => (uint8[n, 1, 4, 3] image) {
  grown = Mul(latent, scale)
  shifted = Add(grown, middle)
  rounded = Round(shifted)
  kept = Clip(rounded, black, white)
  red = Reshape(kept, pixels)
  rgb = Mul(red, colours)
  image = Cast<to=2>(rgb)
}
"""
_CLASSIFIER = """
classifier (uint8[n, 1, 4, 3] image) => (float[n, 3] labels) {
  values = Cast<to=1>(image)
  rows = Einsum<equation="nhwc,c->nw">(values, colours)
  centred = Sub(rows, middle)
  latent = Div(centred, scale)
  tilt_raw = MatMul(latent, tilt_weights)
  tilt = Add(tilt_raw, three)
  open_raw = MatMul(latent, open_weights)
  open_odds = Add(open_raw, one)
  opened = Sigmoid(open_odds)
  straight = MatMul(latent, straight_weights)
  other = MatMul(latent, other_weights)
  squared = Mul(other, other)
  curved = Sub(squared, one)
  curve = Div(curved, root)
  bent = Add(straight, curve)
  labels = Concat<axis=1>(tilt, opened, bent)
}
"""
_CONSTANTS = {
    "scale": [25.0],
    "middle": [128.0],
    "black": 0.0,
    "white": 255.0,
    "colours": [1.0, 0.0, 0.0],
    "tilt_weights": [[2.0], [0.0], [0.0], [0.0]],
    "open_weights": [[1.2], [1.6], [0.0], [0.0]],
    "straight_weights": [[0.0], [0.0], [1.0], [0.0]],
    "other_weights": [[0.0], [0.0], [0.0], [1.0]],
    "three": [3.0],
    "one": [1.0],
    "root": [2**0.5],
}
LABELS = (
    Label(name="tilt", kind=LABEL_KIND_QUANTITY, unit="degrees"),
    Label(name="open", kind=LABEL_KIND_PROBABILITY),
    Label(name="bent", kind=LABEL_KIND_QUANTITY),
)


def build(root: Path, also: Model | None = None) -> Repository:
    """A repository with the generator `dots`, whose card says what `also` says too, and the classifier `reader`."""
    image = Tensor("image", "uint8", (1, SIZE, 3), low=0, high=255)
    dots = Model(
        name="models/dots",
        task=TASK_GENERATE,
        height=1,
        width=SIZE,
        latent=LatentPrior(size=SIZE, prior=PRIOR_NORMAL),
        spaces=[LatentSpace(space=SPACE_Z, size=SIZE, layers=1)],
        stages=[Stage(role="synthesis", model="dots", inputs=["latent"], outputs=["image"])],
    )
    dots.MergeFrom(also or Model())
    reader = Model(
        name="models/reader",
        task=TASK_CLASSIFY,
        height=1,
        width=SIZE,
        labels=LABELS,
        stages=[Stage(role="classifier", model="reader", inputs=["image"], outputs=["labels"])],
    )
    _publish(root, dots, _GENERATOR, Signature((Tensor("latent", "float32", (SIZE,)),), (image,)))
    _publish(root, reader, _CLASSIFIER, Signature((image,), (Tensor("labels", "float32", (len(LABELS),)),)))
    return Repository(root)


def _publish(root: Path, model: Model, text: str, signature: Signature) -> None:
    name = model.name.removeprefix("models/")
    folder = root / name / "1"
    folder.mkdir(parents=True)
    config = triton.configure(name, signature, Form("none", WEIGHTS), {triton.CARD: card.to_json(model)})
    triton.write(config, root / name / "config.pbtxt")
    save_model(_graph(text), folder / "model.onnx")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    write_version(Version(name="1", weights_digest=WEIGHTS, file_digest=f"sha256:{digest}"), folder)


def _graph(text: str) -> ModelProto:
    model = parser.parse_model(f"{_HEADER}{text}")
    for name, value in _CONSTANTS.items():
        if name in text:
            model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    pixels = helper.make_tensor("pixels", TensorProto.INT64, [4], [-1, 1, SIZE, 1])
    if "pixels" in text:
        model.graph.initializer.append(pixels)
    return model
