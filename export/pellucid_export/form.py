"""What an export was asked for, as it is kept in config.pbtxt beside the card."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Format(StrEnum):
    """File formats of exported graphs."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


class Accelerator(StrEnum):
    """What Triton runs the model on; the GPU choices are for NVIDIA's container."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


@dataclass(frozen=True)
class About:
    """What a card tells people and no file knows; an empty text leaves the family's own."""

    display_name: str = ""
    description: str = ""
    license: str = ""
    source: str = ""


@dataclass(frozen=True)
class Form:
    """Everything that decides what an export writes: equal forms give equal models.

    `checkpoint` is the digest of the file or folder it was made from (`source.digest`), `entry` its name in the zoo,
    or empty. `fp16` and `engine_cache` (a folder on the serving machine, empty for none) apply to TensorRT.
    """

    family: str
    checkpoint: str
    entry: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    format: Format = Format.ONNX
    accelerator: Accelerator = Accelerator.CPU
    fp16: bool = False
    engine_cache: str = ""
    max_batch_size: int = 16
    about: About = field(default_factory=About)

    def to_json(self) -> str:
        """Write it with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Form":
        """Read what `to_json` wrote. Raises ValueError or TypeError for anything else."""
        values = json.loads(text)
        return cls(
            **{
                **values,
                "format": Format(values["format"]),
                "accelerator": Accelerator(values["accelerator"]),
                "about": About(**values["about"]),
            }
        )
