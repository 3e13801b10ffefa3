"""Options for a scene, and for edits to its objects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from pellucid_client.commands import translation_arguments
from pellucid_client.commands.arguments import array
from pellucid_client.map_input import MapLike
from pellucid_client.scene import ObjectEdit, Remove, Scene


@dataclass(frozen=True)
class SceneOptions:
    """Maps in the place of images. Relabels are made first, then removals, then pastes."""

    label_map: Annotated[
        Path | None,
        typer.Option(help="A scene, as PNG or .npy, instead of images.", metavar="FILE", exists=True, dir_okay=False),
    ] = None
    instance_map: Annotated[
        Path | None, typer.Option(help="The scene's instances.", metavar="FILE", exists=True, dir_okay=False)
    ] = None
    relabels: Annotated[
        list[str], typer.Option("--relabel", help="Another label for an instance; repeatable.", metavar="ID=LABEL")
    ] = field(default_factory=list)
    removals: Annotated[
        list[int], typer.Option("--remove", help="An instance to take away; repeatable.", metavar="ID")
    ] = field(default_factory=list)
    pastes: Annotated[
        list[str],
        typer.Option("--paste", help="An instance to add; repeatable.", metavar="MASK.png:LABEL@TOP,LEFT"),
    ] = field(default_factory=list)

    def scene(self) -> Scene | None:
        """Return the scene; None where images are meant."""
        edits: list[ObjectEdit] = [
            *translation_arguments.relabels(self.relabels),
            *map(Remove, self.removals),
            *translation_arguments.pastes(self.pastes),
        ]
        if self.label_map is None:
            if edits or self.instance_map is not None:
                raise typer.BadParameter("--instance-map, --relabel, --remove and --paste go with --label-map")
            return None
        return Scene(read_map(self.label_map), read_map(self.instance_map) if self.instance_map else None, edits)


def read_map(path: Path) -> MapLike:
    """Read a map: the numbers of .npy, any other file as it is."""
    return array(path) if path.suffix == ".npy" else path
