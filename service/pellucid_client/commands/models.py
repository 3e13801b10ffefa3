"""`pellucid models`."""

from typing import Annotated, Any

import typer

from pellucid.v1 import model_pb2
from pellucid_client.commands.abilities import abilities
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.printing import AsJson, as_dict, print_json, print_table
from pellucid_client.names import short_name

_SHOWN_ITEMS = 8


@flattened
def list_models(connection: Connection, as_json: AsJson = False) -> None:
    """List what is served, and what cannot be, with the reason."""
    with connection.client() as client:
        models = client.models()
    if as_json:
        print_json([as_dict(model) for model in models])
        return
    print_table(
        ["model", "task", "pixels", "can", "state", "licence", "description"],
        [
            (
                short_name(model.name),
                model_pb2.Task.Name(model.task).removeprefix("TASK_").lower(),
                f"{model.height} x {model.width}",
                abilities(model),
                _state(model.state, model.state_reason),
                model.license,
                model.display_name or model.description,
            )
            for model in models
        ],
    )


@flattened
def show_model(
    model: Annotated[str, typer.Argument(help="The model.")], connection: Connection, as_json: AsJson = False
) -> None:
    """Show a model's card, long lists cut short; JSON has all of it."""
    with connection.client() as client:
        card = client.model(model)
    if as_json:
        print_json(as_dict(card))
        return
    for name, value in as_dict(card).items():
        typer.echo(f"{name:16} {_shortened(value)}")


def _shortened(value: Any) -> Any:
    """Cut the lists within a value after their first items."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    shown = [_shortened(item) for item in value[:_SHOWN_ITEMS]]
    return [*shown, f"... {len(value) - _SHOWN_ITEMS} more"] if len(value) > _SHOWN_ITEMS else shown


def _state(state: model_pb2.State.ValueType, reason: str) -> str:
    return "available" if state == model_pb2.STATE_AVAILABLE else f"unavailable: {reason}"
