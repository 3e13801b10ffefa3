"""Options of every command that asks a gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import grpc
import typer

from pellucid_client.client import Client
from pellucid_client.errors import (
    DeadlineExceeded,
    Denied,
    InvalidRequest,
    NotFound,
    PellucidError,
    Transient,
    Unsupported,
)
from pellucid_client.options import ClientOptions
from pellucid_client.session import DEFAULT_TARGET

REFUSED = 3
LATER = 4

EXIT_CODES: dict[type[PellucidError], int] = {
    InvalidRequest: REFUSED,
    NotFound: REFUSED,
    Unsupported: REFUSED,
    Denied: REFUSED,
    Transient: LATER,
    DeadlineExceeded: LATER,
    PellucidError: 1,
}


@dataclass(frozen=True)
class Connection:
    """Where the gateway is, and who asks."""

    target: Annotated[
        str, typer.Option(help="Address of the gateway.", envvar="PELLUCID_TARGET", metavar="ADDRESS")
    ] = DEFAULT_TARGET
    tls: Annotated[bool, typer.Option("--tls", help="Connect by TLS, with the system's authorities.")] = False
    api_key: Annotated[
        str | None, typer.Option(help="Sent as a bearer token.", envvar="PELLUCID_API_KEY", metavar="KEY")
    ] = None
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", help="Seconds for each call.", metavar="SECONDS", min=0)
    ] = None

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Give a client; an error of its is shown and ends the command with the error's exit code."""
        try:
            with Client(self.target, **self._options()) as client:
                yield client
        except PellucidError as error:
            show_error(error)
            raise typer.Exit(exit_code(error)) from error

    def _options(self) -> ClientOptions:
        options = ClientOptions()
        if self.tls:
            options["credentials"] = grpc.ssl_channel_credentials()
        if self.api_key is not None:
            options["api_key"] = self.api_key
        if self.timeout_s is not None:
            options["timeout_s"] = options["stream_timeout_s"] = self.timeout_s
        return options


def exit_code(error: PellucidError) -> int:
    """Return the exit code of the nearest class of an error."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def show_error(error: PellucidError) -> None:
    """Print an error as one line, and below it the wrong fields that the line does not name."""
    typer.echo(f"error: {error}", err=True)
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    for line in (f"{violation.field}: {violation.description}" for violation in violations):
        if line not in error.message:
            typer.echo(f"  {line}", err=True)
