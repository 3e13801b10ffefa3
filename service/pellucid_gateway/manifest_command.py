"""The command `pellucid verify-manifest`."""

from pathlib import Path
from typing import Annotated

import typer
from upath import UPath

from pellucid_gateway.manifest import Manifest, load_key


def verify_manifest(
    repository: Annotated[str, typer.Argument(help="The model repository: a path, or an fsspec URL.")],
    key: Annotated[Path, typer.Option(help="The public key: Ed25519, PEM.")],
) -> None:
    """Check that a model repository holds what was signed, as the gateway does before it serves.

    Exits with 1 where a model does not, or the manifest is not signed with this key.
    """
    try:
        manifest = Manifest(UPath(repository), load_key(key))
    except (OSError, ValueError) as error:
        _fail(str(error))
    verdicts = manifest.check()
    if manifest.fault:
        _fail(manifest.fault)
    for model, verdict in verdicts.items():
        typer.echo(f"{model}: {verdict.fault or 'as signed'}")
        for path in sorted(verdict.unsigned_axes):
            typer.echo(f"{path}: not signed, passed over")
    if any(verdict.fault for verdict in verdicts.values()):
        raise typer.Exit(1)


def _fail(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
