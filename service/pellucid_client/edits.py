"""Moves along axes, locks and sweeps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pellucid.v1 import generation_service_pb2, image_pb2


@dataclass(frozen=True)
class Steps:
    """Change of the axis's own coordinate; one step is one standard deviation of the latent along it."""

    value: float


@dataclass(frozen=True)
class Target:
    """The label that the axis's linear model is to predict, in the label's own unit."""

    value: float


@dataclass(frozen=True)
class Distance:
    """Length in latent space along what the locks leave of the axis."""

    value: float


Amount: TypeAlias = float | Steps | Target | Distance
"""How far to move; a plain number means steps."""


@dataclass(frozen=True)
class Sweep:
    """Repeats an edit with one more axis moved, once for each amount; `unit` says what plain amounts are."""

    axis: str
    amounts: Sequence[float]
    unit: type[Steps] | type[Target] | type[Distance] = Steps

    def message(self) -> generation_service_pb2.Sweep:
        """Return the sweep as the contract's message."""
        return generation_service_pb2.Sweep(axis=self.axis, unit=_UNITS[self.unit], amounts=self.amounts)


_UNITS: dict[type, generation_service_pb2.MoveUnit.ValueType] = {
    Steps: generation_service_pb2.MOVE_UNIT_STEPS,
    Target: generation_service_pb2.MOVE_UNIT_TARGET,
    Distance: generation_service_pb2.MOVE_UNIT_DISTANCE,
}


def edit_set(moves: Mapping[str, Amount] | None, locks: Iterable[str]) -> image_pb2.EditSet:
    """Return the edit set of moves by axis and of locked axes, each named by its last part; a lock counts once."""
    return image_pb2.EditSet(
        moves=[_move(axis, amount) for axis, amount in (moves or {}).items()],
        locks=dict.fromkeys([locks] if isinstance(locks, str) else locks),
    )


def _move(axis: str, amount: Amount) -> image_pb2.Move:
    match amount:
        case Target(value):
            return image_pb2.Move(axis=axis, target=value)
        case Distance(value):
            return image_pb2.Move(axis=axis, distance=value)
        case Steps(value):
            return image_pb2.Move(axis=axis, steps=value)
        case _:
            return image_pb2.Move(axis=axis, steps=amount)
