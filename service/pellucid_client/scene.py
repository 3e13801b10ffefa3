"""Scenes: label maps with instances, and edits to their objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.map_input import MapLike, map_input


@dataclass(frozen=True)
class Relabel:
    """Gives an instance another label."""

    instance: int
    label: int


@dataclass(frozen=True)
class Remove:
    """Removes an instance: each of its pixels takes label and instance of the nearest pixel outside it."""

    instance: int


@dataclass(frozen=True, eq=False)
class Paste:
    """Adds an instance where `mask` (H, W) is not 0, above what is there; what lies outside the scene is cut off."""

    mask: MapLike
    label: int
    top: int = 0
    """Where the mask's upper left pixel comes to lie, as `left`."""
    left: int = 0
    instance: int | None = None
    """A number that the scene does not have yet. Default: one more than its largest."""


ObjectEdit: TypeAlias = Relabel | Remove | Paste


@dataclass(frozen=True, eq=False)
class Scene:
    """A source for models of label maps."""

    label_map: MapLike
    instance_map: MapLike | None = None
    """Equal numbers are one instance; numbers may be any below 2^32, and edits name them."""
    edits: Sequence[ObjectEdit] = ()
    """In the order they are made."""

    def message(self) -> pb.Scene:
        """Return the scene as the contract's message; InvalidRequest where a map is none."""
        field = "source.scene"
        given = self.instance_map
        return pb.Scene(
            label_map=map_input(self.label_map, f"{field}.label_map"),
            instance_map=None if given is None else map_input(given, f"{field}.instance_map"),
            edits=[_edit(edit, f"{field}.edits[{number}]") for number, edit in enumerate(self.edits)],
        )


def _edit(edit: ObjectEdit, field: str) -> pb.ObjectEdit:
    match edit:
        case Relabel(instance, label):
            return pb.ObjectEdit(relabel=pb.Relabel(instance=instance, label=label))
        case Remove(instance):
            return pb.ObjectEdit(remove=pb.Remove(instance=instance))
        case Paste(mask, label, top, left, instance):
            cut_out = map_input(mask, f"{field}.paste.mask")
            return pb.ObjectEdit(paste=pb.Paste(mask=cut_out, label=label, top=top, left=left, instance=instance))
