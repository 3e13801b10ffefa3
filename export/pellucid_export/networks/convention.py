"""How somebody else's network takes and gives its tensors, against how the gateway does.

The gateway's side follows from the card; the network's own side from its file, and from the card where it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from pellucid.v1.model_pb2 import TASK_CLASSIFY, TASK_GENERATE, Model
from pellucid_export.card_file import CardFile, InputSpec
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Tensor


@dataclass(frozen=True)
class Argument:
    """An input that a network declares; `shape`, without the batch, and `dtype` (numpy's name) where it tells them."""

    name: str
    is_optional: bool = False
    shape: tuple[int, ...] | None = None
    dtype: str = "float32"


@dataclass(frozen=True)
class Feed:
    """A tensor of the gateway, and the argument it goes to, as rows of `shape`.

    `is_index`: the argument takes the number of the class with the largest weight.
    """

    tensor: Tensor
    argument: Argument
    shape: tuple[int, ...]
    is_index: bool = False


def feeds(card: CardFile, arguments: Sequence[Argument]) -> tuple[Feed, ...]:
    """What goes to which argument, in the order of the arguments.

    Raises CheckpointError where the card names arguments that there are not, or leaves one without a tensor or a
    tensor without an argument.
    """
    tensors = _tensors(card.model)
    specs = {spec.role: spec for spec in card.inputs}
    stray = [role for role in specs if role not in tensors]
    if stray:
        raise CheckpointError(f"inputs has '{stray[0]}', for which the card says nothing else; it has {_list(tensors)}")
    chosen = _chosen(list(tensors), specs, arguments)
    hungry = [a.name for a in arguments if not a.is_optional and a not in chosen.values()]
    if hungry:
        raise CheckpointError(
            f"nothing goes to the network's input '{hungry[0]}': it takes {_names(arguments)}, the card has"
            f" {_list(tensors)}"
        )
    fed = [_feed(tensors[role], chosen[role], specs.get(role)) for role in tensors]
    return tuple(sorted(fed, key=lambda feed: arguments.index(feed.argument)))


def complete(card: CardFile, arguments: Sequence[Argument]) -> CardFile:
    """The card with the latent's size, where only a shape in it or the network's own tells it.

    Raises CheckpointError where nothing does.
    """
    if card.model.task != TASK_GENERATE or card.model.latent.size:
        return card
    specs = {spec.role: spec for spec in card.inputs}
    shape = specs["latent"].shape if "latent" in specs else None
    if shape is None:
        shape = _chosen(["latent"], specs, arguments)["latent"].shape
    if shape is None:
        raise CheckpointError("latent must be given: the network does not tell how many numbers it takes")
    model = Model()
    model.CopyFrom(card.model)
    model.latent.size = model.spaces[0].size = prod(shape)
    return replace(card, model=model)


def _tensors(model: Model) -> dict[str, Tensor]:
    """What the gateway feeds to a model with this card, by role."""
    if model.task == TASK_CLASSIFY:
        return {"image": Tensor("image", "uint8", (model.height, model.width, 3), low=0, high=255)}
    tensors = {"latent": Tensor("latent", "float32", (model.latent.size,))}
    if model.HasField("classes"):
        tensors["label"] = Tensor("label", "float32", (len(model.classes.names),), low=0, high=1)
    if model.HasField("condition"):
        tensors["condition"] = Tensor("condition", "float32", (model.condition.size,))
    if model.HasField("conditioning"):
        tensors["conditioning_noise"] = Tensor("conditioning_noise", "float32", (model.conditioning.size,))
    if model.HasField("truncation") and not model.truncation.scales_prior:
        bounds = model.truncation.min, model.truncation.max
        tensors["truncation"] = Tensor("truncation", "float32", (1,), *bounds)
    return tensors


def _chosen(roles: Sequence[str], specs: Mapping[str, InputSpec], arguments: Sequence[Argument]) -> dict[str, Argument]:
    obligatory = [argument for argument in arguments if not argument.is_optional]
    chosen: dict[str, Argument] = {}
    for role in roles:
        name = specs[role].name if role in specs else None
        found = _find(role if name is None else name, arguments)
        if found is None and name is None and len(roles) == len(obligatory) == 1:
            found = obligatory[0]
        if found is None:
            raise CheckpointError(
                f"the network has no input {role if name is None else name!r} for the {role}: it takes"
                f" {_names(arguments)}; say in the card which is which, as in inputs: {{{role}: NAME}}"
            )
        if found in chosen.values():
            raise CheckpointError(f"the network's input '{found.name}' cannot take both {_list([*chosen, role])}")
        chosen[role] = found
    return chosen


def _find(name: str | int, arguments: Sequence[Argument]) -> Argument | None:
    if isinstance(name, int):
        return arguments[name] if name < len(arguments) else None
    return next((argument for argument in arguments if argument.name == name), None)


def _feed(tensor: Tensor, argument: Argument, spec: InputSpec | None) -> Feed:
    is_index = spec is not None and spec.is_index
    if not argument.dtype.startswith("float") and not is_index:
        hint = ": give label the encoding index" if tensor.name == "label" else ""
        raise CheckpointError(f"the network's input '{argument.name}' takes {argument.dtype}, not numbers{hint}")
    # An index is one number a row; everything else keeps its numbers, whatever their shape.
    numbers, usual = (1, ()) if is_index else (prod(tensor.dims), tensor.dims)
    declared = argument.shape if spec is None or spec.shape is None else spec.shape
    shape = usual if declared is None else declared
    if tensor.name != "image" and prod(shape) != numbers:
        raise CheckpointError(
            f"the network's input '{argument.name}' takes rows of shape {shape}; {tensor.name} has {numbers} numbers"
        )
    return Feed(tensor, argument, shape, is_index)


def _names(arguments: Sequence[Argument]) -> str:
    return _list([argument.name for argument in arguments]) or "nothing"


def _list(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(names)
