"""Edit sets, resolved against the axes of a version."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import generation_service_pb2, image_pb2, latent_pb2
from pellucid_gateway import axes
from pellucid_gateway.axes import Change, Direction, Float64s, Move, Unit
from pellucid_gateway.errors import invalid
from pellucid_gateway.latents import Latents
from pellucid_gateway.versions import ServedVersion

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
        names = [*(move.axis for move in edit.moves), *edit.locks, *([sweep.axis] if sweep else [])]
        found = {name: served.axes.find(name, self._digests.get(name, "")) for name in names}
        self.is_behind_mapping = _one_space(found, at)
        self._is_layered = any(_is_layered(direction) for direction in found.values())
        if self._is_layered:
            found = {name: _over(direction, served.chain.style[0]) for name, direction in found.items()}
        self._directions = [found[move.axis] for move in edit.moves]
        self._locks = [found[lock] for lock in edit.locks]
        self._swept = found[sweep.axis] if sweep else None

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
        """Move latents (N, D), or styles (N, layers, size): where they end, and how they got there.

        Raises InvalidRequest as `axes.solve` does, and where a latent is taken beyond all numbers.
        """
        rows: NDArray[np.floating] = start
        if self.is_behind_mapping:
            # What moves all layers alike is solved for their mean: equal layers stay equal to the last bit.
            rows = start.reshape(len(start), -1) if self._is_layered else start.mean(axis=1, dtype=np.float64)
        change = axes.solve(rows, moves, self._locks)
        delta = change.delta.reshape(start.shape) if rows.size == start.size else change.delta[:, None]
        with np.errstate(over="ignore"):
            after = (start + delta).astype(np.float32)
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


def _one_space(found: Mapping[str, Direction], at: str) -> bool:
    """Say whether axes lie behind the mapping. Raises InvalidRequest where some do and others do not."""
    behind = [name for name, direction in found.items() if direction.axis.space in BEHIND_MAPPING]
    others = [name for name in found if name not in behind]
    if behind and others:
        z, w = (", ".join(map(repr, names)) for names in (others, behind))
        raise invalid(at, f"axes {z} lie in SPACE_Z and {w} in SPACE_W: edit first the ones, then the others")
    return bool(behind)


def _is_layered(direction: Direction) -> bool:
    return direction.axis.HasField("layers") or direction.axis.space == latent_pb2.SPACE_W_PLUS


def _over(direction: Direction, layers: int) -> Direction:
    return direction if direction.axis.space == latent_pb2.SPACE_W_PLUS else direction.over(layers)


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
