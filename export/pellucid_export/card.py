"""A model's card: what the family and the zoo know, completed with its stages, as JSON in config.pbtxt."""

from google.protobuf import json_format

from pellucid.v1.model_pb2 import Model
from pellucid.v1.model_pb2 import Stage as StageCard
from pellucid_export.errors import RepositoryError
from pellucid_export.family import Network
from pellucid_export.form import Form

# Differences in these do not make another model.
_FOR_PEOPLE = ("display_name", "description", "license", "source", "max_batch_size")


def stage_names(name: str, network: Network) -> list[str]:
    """Names of the stages' Triton models: the last bears the model's name, the others add their role."""
    return [*(f"{name}.{stage.role}" for stage in network.stages[:-1]), name]


def complete(name: str, network: Network, form: Form) -> Model:
    """The card of the model `name`."""
    card = Model()
    card.CopyFrom(network.card)
    card.name = f"models/{name}"
    card.family = form.family
    card.max_batch_size = form.max_batch_size
    card.display_name = form.about.display_name or card.display_name or name
    card.description = form.about.description or card.description
    card.license = form.about.license or card.license
    card.source = form.about.source or card.source
    del card.stages[:]
    for model, stage in zip(stage_names(name, network), network.stages, strict=True):
        card.stages.append(
            StageCard(
                role=stage.role,
                model=model,
                inputs=[tensor.name for tensor in stage.signature.inputs],
                outputs=[tensor.name for tensor in stage.signature.outputs],
            )
        )
    return card


def to_json(card: Model) -> str:
    """One line of JSON."""
    return json_format.MessageToJson(card, indent=None)


def from_json(text: str) -> Model:
    """Read a card. Raises RepositoryError where it is not one."""
    try:
        return json_format.Parse(text, Model())
    except json_format.ParseError as error:
        raise RepositoryError(f"unreadable card: {error}") from error


def differences(old: Model, new: Model) -> list[str]:
    """Names of the fields, other than those for people only, in which two cards differ."""
    fields = Model.DESCRIPTOR.fields_by_name
    return [name for name in fields if name not in _FOR_PEOPLE and getattr(old, name) != getattr(new, name)]
