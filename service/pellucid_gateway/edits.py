"""Edit sets, resolved against the axes of a version."""

from collections.abc import Mapping

import numpy as np

from pellucid.v1 import generation_service_pb2, image_pb2, latent_pb2
from pellucid_gateway import axes
from pellucid_gateway.axes import Change, Direction, Float64s, Move, Unit
from pellucid_gateway.catalog import ServedVersion
from pellucid_gateway.errors import invalid
from pellucid_gateway.latents import Latents

MAX_MOVES = 64
BEHIND_MAPPING = (latent_pb2.SPACE_W, latent_pb2.SPACE_W_PLUS)

_UNITS = {
    generation_service_pb2.MOVE_UNIT_UNSPECIFIED: Unit.STEPS,
    generation_service_pb2.MOVE_UNIT_STEPS: Unit.STEPS,
    generation_service_pb2.MOVE_UNIT_TARGET: Unit.TARGET,
    generation_service_pb2.MOVE_UNIT_DISTANCE: Unit.DISTANCE,
}


class Edit:
    """An edit set, and perhaps a sweep, whose axes all lie in Z or all behind the mapping.

    `at` is the field that holds the set; `digests` names the sets of axes to be used. Raises InvalidRequest for an axis
    that is moved twice, locked twice, or both, and for axes of different spaces; NotFound or Refused for axes that are
    not there.
    """

    def __init__(
        self,
        edit: image_pb2.EditSet,
        served: ServedVersion,
        at: str,
        digests: Mapping[str, str] | None = None,
        sweep: generation_service_pb2.Sweep | None = None,
    ):
        _check(edit, sweep, at)
        self._edit = edit
        self._sweep = sweep
        self._served = served
        self._at = at
        self._digests = digests or {}
        self._directions = [self._find(move.axis) for move in edit.moves]
        self._locks = [self._find(lock) for lock in edit.locks]
        self._swept = self._find(sweep.axis) if sweep else None
        self.is_behind_mapping = self._one_space()

    def __bool__(self) -> bool:
        """Whether anything moves or is locked."""
        return bool(self._directions or self._locks or self._swept)

    def moves(self, rows: int, amounts: Float64s | None = None) -> list[Move]:
        """Give the moves of `rows` images; `amounts` (rows,) are the sweep's."""
        moves = []
        for k, (move, direction) in enumerate(zip(self._edit.moves, self._directions, strict=True)):
            unit = Unit(move.WhichOneof("amount"))
            moves.append(Move(direction, unit, np.full(rows, getattr(move, unit.value)), f"{self._at}.moves[{k}]"))
        if self._sweep and self._swept and amounts is not None:
            moves.append(Move(self._swept, _UNITS[self._sweep.unit], amounts, "sweep"))
        return moves

    def solve(self, start: Latents, moves: list[Move]) -> tuple[Latents, Change]:
        """Move latents (N, D), or styles flattened to (N, layers * size): where they end, and how they got there.

        Raises InvalidRequest as `axes.solve` does, and where a latent is taken beyond all numbers.
        """
        change = axes.solve(start, moves, self._locks)
        with np.errstate(over="ignore"):
            after = (start + change.delta).astype(np.float32)
        if not np.isfinite(after).all():
            raise invalid(self._at, "the edit moves the latent beyond all numbers")
        return after, change

    def applied(self, amount: float | None = None) -> image_pb2.AppliedEdit:
        """Say for a recipe what was applied, with the sweep's amount as a move of its own."""
        applied = image_pb2.AppliedEdit(edit=self._edit)
        if self._sweep and amount is not None:
            applied.edit.moves.append(image_pb2.Move(axis=self._sweep.axis, **{_UNITS[self._sweep.unit].value: amount}))
        for name in (*(move.axis for move in applied.edit.moves), *applied.edit.locks):
            applied.axis_set_digests[name] = self._served.axes.find(
                name, self._digests.get(name, "")
            ).axis.axis_set_digest
        return applied

    def _find(self, name: str) -> Direction:
        direction = self._served.axes.find(name, self._digests.get(name, ""))
        layers, _ = self._served.chain.style
        return direction.over(layers) if direction.axis.space == latent_pb2.SPACE_W else direction

    def _one_space(self) -> bool:
        found = [*self._directions, *self._locks, *([self._swept] if self._swept else [])]
        behind = {direction.axis.name: direction.axis.space in BEHIND_MAPPING for direction in found}
        if len(set(behind.values())) > 1:
            z = ", ".join(repr(name) for name, is_behind in behind.items() if not is_behind)
            w = ", ".join(repr(name) for name, is_behind in behind.items() if is_behind)
            raise invalid(self._at, f"axes {z} lie in SPACE_Z and {w} in SPACE_W: edit first the ones, then the others")
        return any(behind.values())


def _check(edit: image_pb2.EditSet, sweep: generation_service_pb2.Sweep | None, at: str) -> None:
    fields = [(f"{at}.moves[{i}].axis", move.axis) for i, move in enumerate(edit.moves)]
    if sweep:
        fields.append(("sweep.axis", sweep.axis))
    moved: set[str] = set()
    for name, axis in fields:
        if axis in moved:
            raise invalid(name, f"axis {axis!r} is moved twice in one edit")
        if axis in edit.locks:
            raise invalid(name, f"axis {axis!r} is both moved and locked")
        moved.add(axis)
    if len(moved) > MAX_MOVES:
        raise invalid(f"{at}.moves", f"{len(moved)} moves with the sweep's, and the limit is {MAX_MOVES}")
    for i, lock in enumerate(edit.locks):
        if lock in edit.locks[:i]:
            raise invalid(f"{at}.locks[{i}]", f"axis {lock!r} is locked twice")
