"""How the commands show what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from pellucid_export.errors import ExportError


@contextmanager
def reported() -> Iterator[None]:
    """Show what export refuses, and what the file system does, as a line without a traceback; exits with 1."""
    try:
        yield
    except (ExportError, OSError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error
