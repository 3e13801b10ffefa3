"""StyleGAN's generator as NVIDIA's TensorFlow code keeps it, under genforce's names."""

import re

import torch

from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.tf_pickle import SIZES, TfNetwork, weight
from pellucid_export.errors import CheckpointError

# What the functions were built with, where another value makes another network; the first is their default.
_MAPPING_SETTINGS: dict[str, tuple[object, ...]] = {
    "mapping_lrmul": (0.01,),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_wscale": (True,),
}
_SYNTHESIS_SETTINGS: dict[str, tuple[object, ...]] = {
    "use_styles": (True,),
    "const_input_layer": (True,),
    "use_noise": (True,),
    "nonlinearity": ("lrelu",),
    "use_wscale": (True,),
    "use_pixel_norm": (False,),
    "use_instance_norm": (True,),
    "blur_filter": ([1, 2, 1],),
}
_TOP = {"dlatent_avg": "truncation.w_avg", "lod": "synthesis.lod"}
_SECOND = {"Const": 0, "Conv0_up": 0, "Conv": 1, "Conv1": 1}
_PARTS = {"": "", "StyleMod/": "style.", "Noise/": "apply_noise."}
_BLUR = torch.tensor([1.0, 2.0, 1.0]) / 4


def state(network: TfNetwork) -> State:
    """The generator's state, its upsampling kernels fused or not, as they are in the file.

    Raises CheckpointError for a network of other parts, and one that was built with other settings. Names that are
    not StyleGAN's stay as they are.
    """
    mapping, synthesis = _parts(network)
    for part, settings in ((mapping, _MAPPING_SETTINGS), (synthesis, _SYNTHESIS_SETTINGS)):
        for name, allowed in settings.items():
            part.setting(name, allowed)
    found = {_mapping_name(name): _tensor(name, variable) for name, variable in mapping.variables.items()}
    found |= _synthesis(synthesis.variables)
    return found | {_TOP.get(name, name): variable for name, variable in network.variables.items()}


def fused(network: TfNetwork) -> str:
    """Whether upsampling is fused: "yes", "no", or "auto", from 128 pixels on."""
    _, synthesis = _parts(network)
    value = synthesis.setting("fused_scale", ("auto", True, False))
    return {"auto": "auto", True: "yes", False: "no"}[value]


def _parts(network: TfNetwork) -> tuple[TfNetwork, TfNetwork]:
    names = sorted(network.components)
    if names != ["mapping", "synthesis"]:
        raise CheckpointError(f"{network.function} has the parts {', '.join(names) or 'none'}, not mapping, synthesis")
    return network.components["mapping"], network.components["synthesis"]


def _mapping_name(name: str) -> str:
    if name == "LabelConcat/weight":
        return "mapping.label_weight"
    found = re.fullmatch(r"Dense(\d+)/(weight|bias)", name)
    return f"mapping.dense{found[1]}.{found[2]}" if found else name


def _synthesis(variables: State) -> State:
    outputs = sum(re.fullmatch(r"ToRGB_lod\d+/weight", name) is not None for name in variables)
    found = {_synthesis_name(name, outputs): _tensor(name, variable) for name, variable in variables.items()}
    for block in range(1, outputs):
        # The filter is no variable here.
        channels = found.get(f"synthesis.layer{2 * block}.bias", torch.zeros(0)).numel()
        found[f"synthesis.layer{2 * block}.blur.kernel"] = torch.outer(_BLUR, _BLUR).repeat(channels, 1, 1, 1)
    return found


def _synthesis_name(name: str, outputs: int) -> str:
    if found := re.fullmatch(r"(\w+)/(Const|Conv0_up|Conv|Conv1)/(StyleMod/|Noise/|)(weight|bias|const)", name):
        if found[1] in SIZES:
            layer = 2 * SIZES[found[1]] + _SECOND[found[2]]
            return f"synthesis.layer{layer}.{_PARTS[found[3]]}{found[4]}"
    elif found := re.fullmatch(r"noise(\d+)", name):
        return f"synthesis.layer{found[1]}.apply_noise.noise"
    elif found := re.fullmatch(r"ToRGB_lod(\d+)/(weight|bias)", name):
        return f"synthesis.output{outputs - 1 - int(found[1])}.{found[2]}"
    return f"synthesis.{name}"


def _tensor(name: str, variable: torch.Tensor) -> torch.Tensor:
    return weight(variable) if name.endswith("/weight") and name != "LabelConcat/weight" else variable
