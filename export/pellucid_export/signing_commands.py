"""The commands `pellucid keygen` and `pellucid sign`."""

# What is imported here is paid for by every `pellucid` command.
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pellucid_export.reporting import reported


def keygen(
    private: Annotated[Path, typer.Argument(help="The private key's file; the public one gets the suffix .pub.")],
) -> None:
    """Make a key pair for signing model repositories."""
    with reported():
        from pellucid_export import signing

        public = signing.make_keys(private)
        Console().print(f"{private} signs and must be kept secret; {public} verifies.", soft_wrap=True)


def sign(
    repository: Annotated[Path, typer.Argument(help="The model repository.")],
    key: Annotated[Path, typer.Option(help="The private key: Ed25519, PEM.")],
) -> None:
    """Sign a model repository as it is now: every file of every model, by digest.

    Sign again after each change: a gateway that verifies refuses models whose files are not those that were signed.
    """
    with reported():
        from pellucid_export import signing
        from pellucid_export.repository import Repository

        for model, versions in signing.sign(Repository(repository), key).items():
            Console().print(f"{model}: version {', '.join(map(str, versions)) or 'none'}", highlight=False)
