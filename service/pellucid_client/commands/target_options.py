"""Options for what sources are translated to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from pellucid.v1 import model_pb2
from pellucid_client.commands import translation_arguments as arguments
from pellucid_client.targets import Change, Style
from pellucid_client.translation_options import TranslationOptions


@dataclass(frozen=True)
class TargetOptions:
    """Targets; a model that lacks what one asks for refuses it."""

    to: Annotated[
        list[str],
        typer.Option(help="Domains, a picture each; NAME+NAME are changed together, SET:NAME is of a second data set."),
    ] = field(default_factory=list)
    all_domains: Annotated[bool, typer.Option("--all-domains", help="A picture for each domain of each set.")] = False
    values: Annotated[
        list[str], typer.Option("--value", help="An attribute set to 0 or 1; repeatable.", metavar="NAME=0|1")
    ] = field(default_factory=list)
    direction: Annotated[str | None, typer.Option(help="A direction of the card. Default: the first.")] = None
    cycle: Annotated[bool, typer.Option("--cycle", help="Also translate back, and say how far off that is.")] = False
    style_seed: Annotated[int | None, typer.Option(help="Draws the looks of instances. Default 0.", min=0)] = None
    style_example: Annotated[
        Path | None,
        typer.Option(help="An image whose instances' looks are taken.", metavar="FILE", exists=True, dir_okay=False),
    ] = None
    clusters: Annotated[
        list[str], typer.Option("--cluster", help="The look of an instance; repeatable.", metavar="ID=K")
    ] = field(default_factory=list)
    dropout_seed: Annotated[int | None, typer.Option(help="Draws the dropout. Default: none.", min=0)] = None

    def changes(self) -> list[Change]:
        """Return the domains that are targets; none where the model's only target is meant, or all."""
        changes = arguments.changes(self.to, arguments.shares(self.values))
        if changes and self.all_domains:
            raise typer.BadParameter("--all-domains goes without --to and --value")
        return changes

    def options(self) -> TranslationOptions:
        """Return the options of a call that were given."""
        options = TranslationOptions(all_domains=self.all_domains, cycle=self.cycle)
        if self.direction is not None:
            options["direction"] = self.direction
        if self.dropout_seed is not None:
            options["dropout_seed"] = self.dropout_seed
        clusters = arguments.whole_numbers(self.clusters, "ID=K")
        if clusters or self.style_seed is not None or self.style_example is not None:
            options["style"] = Style(self.style_seed, self.style_example, clusters)
        return options

    def names(self, card: model_pb2.Model) -> Sequence[str]:
        """Return what each target is called; "" for a target that is not a domain."""
        if not self.all_domains:
            return [_name(change) for change in self.changes()] or [""]
        sets = card.translation.domains.sets
        return [_name(Change(name, of=one.name if len(sets) > 1 else "")) for one in sets for name in one.names]


def _name(change: Change) -> str:
    values = [f"{name}={value:g}" for name, value in change.values.items()]
    together = "+".join([*change.names, *values])
    return f"{change.of}-{together}" if change.of else together
