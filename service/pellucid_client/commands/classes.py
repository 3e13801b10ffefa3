"""`pellucid classes`."""

from typing import Annotated

import typer

from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.printing import AsJson, print_json, print_table


@flattened
def list_classes(
    connection: Connection,
    model: Annotated[str, typer.Argument(help="The model, as `pellucid models` lists it.")],
    query: Annotated[list[str] | None, typer.Argument(help="Words that the class's name must contain.")] = None,
    as_json: AsJson = False,
) -> None:
    """List or search the classes of a model."""
    with connection.client() as client:
        classes = client.classes(model, " ".join(query or []))
    if as_json:
        print_json([{"index": index, "name": name} for index, name in classes])
    else:
        print_table(["index", "class"], [(str(index), name) for index, name in classes])
