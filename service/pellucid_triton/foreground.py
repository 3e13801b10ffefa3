"""A command that runs services until it is interrupted."""

import json
import logging
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from pellucid_triton.errors import LauncherError
from pellucid_triton.supervisor import Service, Supervisor


@contextmanager
def foreground() -> Iterator[None]:
    """Log to standard error; end quietly on SIGINT and SIGTERM, and with the reason on a LauncherError."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    # Named both: a shell that starts a command in the background has it ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return
    except LauncherError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def supervised(service: Service) -> Iterator[None]:
    """Run a service meanwhile, restarting it after a crash."""
    supervisor = Supervisor(service)
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


def announce(facts: Mapping[str, Any], as_json: bool) -> None:
    """Tell where everything is: a line each, or one line of JSON; of a list an element a line."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        for line in value if isinstance(value, list) else [value]:
            words = line.values() if isinstance(line, dict) else [line]
            typer.echo(f"{name.replace('_', ' '):14} {' '.join(str(word) or '-' for word in words)}")
