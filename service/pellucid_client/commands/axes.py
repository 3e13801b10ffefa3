"""`pellucid axes list` and `pellucid axes show`."""

from typing import Annotated

import typer

from pellucid.v1 import axis_pb2, model_pb2
from pellucid_client.client import Client
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.printing import AsJson, as_dict, print_json, print_table
from pellucid_client.names import short_name

_COLUMNS = ["model", "axis", "quantity", "held-out fit", "effect a step", "raised at +2", "linear to", "limit"]


@flattened
def list_axes(
    connection: Connection,
    model: Annotated[str | None, typer.Argument(help="The model; default: all that are available.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a model's axes with what is known of them."""
    with connection.client() as client:
        names = [model] if model else _available(client)
        axes = [axis for name in names for axis in client.axes(name)]
    if as_json:
        print_json([as_dict(axis) for axis in axes])
    else:
        print_table(_COLUMNS, [_row(axis) for axis in axes])


@flattened
def show_axis(
    model: Annotated[str, typer.Argument(help="The model.")],
    axis: Annotated[str, typer.Argument(help="The axis.")],
    connection: Connection,
    as_json: AsJson = False,
) -> None:
    """Show one axis with what moving along it does to the others."""
    with connection.client() as client:
        found = client.axis(f"{short_name(model)}/{axis}")
    if as_json:
        print_json(as_dict(found))
        return
    print_table(_COLUMNS, [_row(found)])
    others = sorted(found.entanglement, key=lambda other: -abs(other.effect))
    print_table(
        ["other axis", "cosine", "effect a step (sd)", "while locked (sd)"],
        [(o.axis, f"{o.cosine:+.2f}", f"{o.effect:+.2f}", f"{o.effect_locked:+.2f}") for o in others],
    )


def _available(client: Client) -> list[str]:
    return [
        model.name
        for model in client.models()
        if model.state == model_pb2.STATE_AVAILABLE and model.task != model_pb2.TASK_CLASSIFY
    ]


def _row(axis: axis_pb2.Axis) -> tuple[str, ...]:
    fit, effect = axis.fit, axis.effect
    metric = axis_pb2.FitMetric.Name(fit.metric).removeprefix("FIT_METRIC_")
    return (
        axis.name.split("/")[1],
        short_name(axis.name),
        f"{axis.quantity} ({axis.unit})" if axis.unit else axis.quantity,
        f"{metric} {fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}]" if axis.HasField("fit") else "not measured",
        f"{effect.per_step:+.2f}" if axis.HasField("effect") else "not measured",
        f"{effect.raised_share:.0%}" if axis.HasField("effect") else "not measured",
        f"{axis.linear_range_steps:g}" if axis.linear_range_steps else "not measured",
        f"{axis.hard_limit_steps:g}",
    )
