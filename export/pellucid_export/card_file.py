"""A network of one's own, described by its owner in YAML.

# mine.yaml: nothing is obligatory but what the network needs, and no other keys are allowed
task: generate                     # default; or classify
latent: 128                        # or {size: 128, prior: normal | truncated_normal | sphere, bound: 2}
classes: [cat, dog]                # or how many; the network takes a label
condition: 300                     # or {size: 300, description: a sentence's embedding}
conditioning_noise: 100            # numbers with which the network resamples its condition
truncation: {min: 0, max: 1, default: 1}    # an input of the network; with scales_prior: true the latent's scale
inputs:                            # the network's own inputs by role, where they are not named as the roles
  latent: z                        # its name or number, or {name: z, shape: [128, 1, 1]}
  label: {name: y, encoding: index}    # one_hot (default): the classes' weights; index: the heaviest class
output: image                      # its name or number, where there are several
range: -1..1                       # values of the network's images (default), or 0..1, 0..255, ...
layout: nchw                       # default; or nhwc
height: 64                         # default: what the network gives; of a classifier's images obligatory
width: 64
labels: [smiling, {name: age, kind: quantity, unit: years}]    # what a classifier measures
activation: none                   # default; or sigmoid, softmax: from a classifier's output to its labels
display_name: Mine                 # and description, license, source: for people
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    LABEL_KIND_PROBABILITY,
    LABEL_KIND_QUANTITY,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    PRIOR_TRUNCATED_NORMAL,
    TASK_CLASSIFY,
    TASK_GENERATE,
    ClassList,
    ConditioningNoise,
    ConditionVector,
    Label,
    LatentPrior,
    LatentSpace,
    Model,
    Task,
    TruncationRange,
)
from pellucid_export.card_fields import Fields
from pellucid_export.errors import CheckpointError

TASKS = {"generate": TASK_GENERATE, "classify": TASK_CLASSIFY}
PRIORS = {"normal": PRIOR_NORMAL, "truncated_normal": PRIOR_TRUNCATED_NORMAL, "sphere": PRIOR_SPHERE}
KINDS = {"probability": LABEL_KIND_PROBABILITY, "quantity": LABEL_KIND_QUANTITY}
ROLES = ("latent", "label", "condition", "conditioning_noise", "truncation", "image")
ENCODINGS = ("one_hot", "index")
LAYOUTS = ("nchw", "nhwc")
ACTIVATIONS = ("none", "sigmoid", "softmax")

_SHARED = ("task", "inputs", "output", "range", "layout", "height", "width")
_FOR_PEOPLE = ("display_name", "description", "license", "source")
_KEYS = {
    TASK_GENERATE: ("latent", "classes", "condition", "conditioning_noise", "truncation"),
    TASK_CLASSIFY: ("labels", "activation"),
}
_LARGEST_VECTOR = 2**20
_MOST_CLASSES = 2**16
_LARGEST_SIDE = 2**14
_LARGEST_TRUNCATION = 100.0
# Within less, the gateway would draw too long.
_LEAST_BOUND, _LARGEST_BOUND = 0.1, 100.0


@dataclass(frozen=True)
class InputSpec:
    """What the card says of one input: its name or number in the file, the shape of a row, whether it is an index."""

    role: str
    name: str | int | None = None
    shape: tuple[int, ...] | None = None
    is_index: bool = False


@dataclass(frozen=True)
class CardFile:
    """A card as it was read.

    `model` has what the gateway needs, as far as the card tells: a latent of size 0 and a height of 0 are to be found
    out. `low` and `high` are the range of the network's images.
    """

    model: Model
    inputs: tuple[InputSpec, ...]
    output: str | int | None
    low: float
    high: float
    is_channels_last: bool
    activation: str

    @property
    def is_usual_range(self) -> bool:
        """Whether the images are in the range that `PixelOutput` takes."""
        return (self.low, self.high) == (-1.0, 1.0)


def read(path: Path) -> CardFile:
    """Read a card. Raises CheckpointError naming the first wrong field, its value and what it may be."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path.name}: not readable as YAML: {' '.join(str(error).split())}") from error
    given: Mapping[str, Any] = content if isinstance(content, dict) else {}
    task = TASKS[Fields(given, path.name, tuple(given)).choice("task", tuple(TASKS))]
    fields = Fields(content, path.name, (*_SHARED, *_KEYS[task], *_FOR_PEOPLE))
    low, high = fields.span("range", (-1.0, 1.0))
    return CardFile(
        model=_model(fields, task),
        inputs=_inputs(fields),
        output=fields.name_or_number("output"),
        low=low,
        high=high,
        is_channels_last=fields.choice("layout", LAYOUTS) == "nhwc",
        activation=fields.choice("activation", ACTIVATIONS),
    )


def _model(fields: Fields, task: "Task.ValueType") -> Model:
    # What a generator gives can be seen by running it; what a classifier takes cannot.
    unknown_side = 0 if task == TASK_GENERATE else None
    model = Model(
        task=task,
        height=fields.whole("height", unknown_side, _LARGEST_SIDE),
        width=fields.whole("width", unknown_side, _LARGEST_SIDE),
        display_name=fields.text("display_name"),
        description=fields.text("description"),
        license=fields.text("license"),
        source=fields.text("source"),
    )
    model.MergeFrom(_generator(fields) if task == TASK_GENERATE else Model(labels=_labels(fields)))
    return model


def _generator(fields: Fields) -> Model:
    latent = _latent(fields)
    return Model(
        latent=latent,
        spaces=[LatentSpace(space=SPACE_Z, size=latent.size, layers=1)],
        classes=_classes(fields),
        condition=_condition(fields),
        conditioning=_conditioning(fields),
        truncation=_truncation(fields),
    )


def _latent(fields: Fields) -> LatentPrior:
    latent = fields.part("latent", ("size", "prior", "bound"), short="size")
    prior = PRIORS[latent.choice("prior", tuple(PRIORS))]
    if prior != PRIOR_TRUNCATED_NORMAL:
        latent.refuse("bound", "goes with the prior truncated_normal only")
        return LatentPrior(size=latent.whole("size", 0, _LARGEST_VECTOR), prior=prior)
    bound = latent.number("bound", 2.0, _LEAST_BOUND, _LARGEST_BOUND)
    return LatentPrior(size=latent.whole("size", 0, _LARGEST_VECTOR), prior=prior, truncation_bound=bound)


def _classes(fields: Fields) -> ClassList | None:
    if not fields.has("classes"):
        return None
    if not isinstance(fields.value("classes"), list):
        count = fields.whole("classes", None, _MOST_CLASSES)
        return ClassList(names=[f"class_{index}" for index in range(count)])
    return ClassList(names=fields.names("classes"))


def _condition(fields: Fields) -> ConditionVector | None:
    if not fields.has("condition"):
        return None
    condition = fields.part("condition", ("size", "description"), short="size")
    size = condition.whole("size", None, _LARGEST_VECTOR)
    return ConditionVector(size=size, description=condition.text("description"))


def _conditioning(fields: Fields) -> ConditioningNoise | None:
    if not fields.has("conditioning_noise"):
        return None
    return ConditioningNoise(size=fields.whole("conditioning_noise", None, _LARGEST_VECTOR))


def _truncation(fields: Fields) -> TruncationRange | None:
    if not fields.has("truncation"):
        return None
    part = fields.part("truncation", ("min", "max", "default", "scales_prior"))
    least = part.number("min", 0.0, -_LARGEST_TRUNCATION, _LARGEST_TRUNCATION)
    most = part.number("max", 1.0, least, _LARGEST_TRUNCATION)
    default = part.number("default", min(max(1.0, least), most), least, most)
    return TruncationRange(min=least, max=most, default_value=default, scales_prior=part.flag("scales_prior"))


def _labels(fields: Fields) -> list[Label]:
    labels = [
        Label(
            name=part.text("name", obligatory=True),
            kind=KINDS[part.choice("kind", tuple(KINDS))],
            unit=part.text("unit"),
            description=part.text("description"),
        )
        for part in fields.items("labels", ("name", "kind", "unit", "description"), "name")
    ]
    fields.check_distinct("labels", [label.name for label in labels])
    return labels


def _inputs(fields: Fields) -> tuple[InputSpec, ...]:
    inputs = fields.part("inputs", ROLES)
    return tuple(_input(inputs, role) for role in ROLES if inputs.has(role))


def _input(inputs: Fields, role: str) -> InputSpec:
    keys = ("name", "shape", "encoding") if role == "label" else ("name", "shape")
    part = inputs.part(role, keys, short="name")
    return InputSpec(
        role=role,
        name=part.name_or_number("name"),
        shape=part.shape("shape", _LARGEST_VECTOR),
        is_index=part.choice("encoding", ENCODINGS) == "index",
    )
