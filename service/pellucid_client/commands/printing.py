"""What commands print: tables for people, the contract's JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import track
from rich.table import Table

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as the contract's JSON has it."""
    return dict(MessageToDict(message))


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table, at its full width where the output is no terminal."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def tracked(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    """Give the items while a bar shows how many there were; only where a person watches."""
    console = Console(stderr=True)
    return track(items, what, total=total, console=console, transient=True, disable=not sys.stderr.isatty())
