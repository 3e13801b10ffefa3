"""The commands `pellucid keys create`, `list` and `revoke`.

They are plain functions with typer's annotations; the `pellucid` command registers them through the entry point group
`pellucid.commands`. A running gateway takes up what they change by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pellucid_gateway.identity import api_keys, callers_file
from pellucid_gateway.identity.callers_file import CallerEntry, CallersDocument, CallersFileError, KeyEntry

_File = Annotated[Path, typer.Option("--file", help="The file of callers.", envvar="PELLUCID_CALLERS_FILE")]


def create(
    caller: Annotated[str, typer.Argument(help="Whose key it is.")],
    file: _File = Path("callers.yaml"),
    expires: Annotated[datetime | None, typer.Option(help="When it ends, in UTC. Default: never.")] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Pattern of models' names, for a caller who is not in the file.")
    ] = None,
) -> None:
    """Create an API key, and print it this one time."""
    now = datetime.now(UTC).replace(microsecond=0)
    ends = expires.replace(tzinfo=UTC) if expires else None
    if ends and ends <= now:
        raise typer.BadParameter(f"{ends:%Y-%m-%d %H:%M:%S} UTC is over", param_hint="--expires")
    key = api_keys.create_key()
    entry = KeyEntry(id=api_keys.key_id(key), sha256=api_keys.digest(key).hex(), created=now, expires=ends)
    with _shown():
        callers_file.update(file, lambda document: _caller(document, caller, models).keys.append(entry))
    typer.echo(key)


def list_keys(file: _File = Path("callers.yaml")) -> None:
    """List the API keys by caller: id, creation, end."""
    with _shown():
        document = callers_file.read(file)
    now = datetime.now(UTC)
    for caller in document.callers:
        for key in caller.keys:
            ends = f"expires {key.expires:%Y-%m-%d %H:%M}" if key.expires else "never expires"
            over = " (over)" if key.expires and key.expires <= now else ""
            typer.echo(f"{caller.name:24} {key.id:16} created {key.created:%Y-%m-%d %H:%M} {ends}{over}")


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, the part between the underscores.")],
    file: _File = Path("callers.yaml"),
) -> None:
    """Revoke an API key by deleting it from the file."""
    with _shown():
        callers_file.update(file, lambda document: _delete(document, key_id))
    typer.echo(f"revoked {key_id}")


def _caller(document: CallersDocument, name: str, models: list[str] | None) -> CallerEntry:
    for caller in document.callers:
        if caller.name == name:
            if models:
                raise CallersFileError(f"the caller {name!r} is in the file: change there what it may use")
            return caller
    if not models:
        raise CallersFileError(f"there is no caller {name!r}: say with --model what a new one may use")
    document.callers.append(CallerEntry.model_construct(name=name, models=models, keys=[]))
    return document.callers[-1]


def _delete(document: CallersDocument, key_id: str) -> None:
    for caller in document.callers:
        for key in caller.keys:
            if key.id == key_id:
                caller.keys.remove(key)
                return
    raise CallersFileError(f"there is no key {key_id!r}")


@contextmanager
def _shown() -> Iterator[None]:
    """Show an error of the file, and end with exit code 1."""
    try:
        yield
    except (CallersFileError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
