"""Axis arithmetic: moves and locks to one change of the latent. Pure numpy.

An edit set is a set of constraints on the change dz of a latent z. Let L hold the directions of the locked axes and P
remove their span. A move by steps or to a target says how far the axis's own coordinate goes, a . dz = b; a lock says
l . dz = 0; the shortest dz that satisfies all is taken, so the order of the moves does not matter. For one axis it is
TL-GAN's projection, scaled so that the axis itself still moves as far as it was asked to. A move by distance adds a
piece of that length along P a first (TL-GAN's and InterFaceGAN's convention).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import axis_pb2
from pellucid_gateway.errors import invalid

SMALLEST_REMAINDER = 0.05
"""What locks or the other moves must leave of an axis, as a share of its unit length."""

ROUNDING = 1e-9
"""How far a move may exceed a limit by rounding alone, as a share of the limit."""

Float64s = NDArray[np.float64]


class Unit(Enum):
    """What the amount of a move is."""

    STEPS = "steps"
    TARGET = "target"
    DISTANCE = "distance"


@dataclass(frozen=True)
class Direction:
    """An axis with its unit direction (D,).

    Over the layers of W+ it is the direction of all the vectors that it moves together, and `spread`, the square root
    of their number, is its length where each of them moves by 1.
    """

    axis: axis_pb2.Axis
    unit: Float64s
    spread: float = 1.0

    def over(self, layers: int) -> "Direction":
        """Give the direction (layers * D,) of W+ that moves the axis's layers, by default all, alike."""
        first, last = (
            (self.axis.layers.first, self.axis.layers.last) if self.axis.HasField("layers") else (0, layers - 1)
        )
        moved = np.zeros((layers, len(self.unit)))
        moved[first : last + 1] = self.unit
        spread = math.sqrt(last - first + 1)
        return Direction(self.axis, moved.reshape(-1) / spread, spread)

    @property
    def step(self) -> float:
        """Length of one step along `unit`."""
        return self.axis.step_length * self.spread

    def coordinate(self, latents: NDArray[np.floating]) -> Float64s:
        """Give the coordinates (N,), in steps, of latents (N, D); over layers, the mean of theirs."""
        # NOTE: a sum over the last axis, not a matrix product: its rounding must not depend on how many rows there are.
        return np.asarray((latents * self.unit).sum(axis=-1) / self.step, dtype=np.float64)

    @property
    def predicts(self) -> bool:
        """Whether the axis's linear model is known."""
        return self.axis.HasField("intercept") and self.axis.HasField("slope")

    def predict(self, coordinate: float) -> float:
        """Give the label, in its own unit, that the linear model predicts at a coordinate in steps."""
        u = self.axis.intercept + self.axis.slope * coordinate
        if self.axis.link == axis_pb2.LINK_LOGIT:
            return float(1 / (1 + np.exp(-u)))
        return float(np.tanh(u)) if self.axis.link == axis_pb2.LINK_TANH else float(u)

    def solve(self, label: float) -> float:
        """Give the coordinate, in steps, at which the linear model predicts `label`."""
        if self.axis.link == axis_pb2.LINK_LOGIT:
            u = np.log(label / (1 - label))
        else:
            u = np.arctanh(label) if self.axis.link == axis_pb2.LINK_TANH else label
        return float((u - self.axis.intercept) / self.axis.slope)


@dataclass(frozen=True)
class Move:
    """Moves an axis by one amount a row (N,); `field` is where the request says so."""

    direction: Direction
    unit: Unit
    amounts: Float64s
    field: str


@dataclass(frozen=True)
class Change:
    """What an edit does to latents: the change (N, D).

    Of each move there are its coordinate before (N,), its steps (N,) and the share that the locks left.
    """

    delta: Float64s
    before: list[Float64s]
    steps: list[Float64s]
    left_by_locks: list[float]


def solve(latents: NDArray[np.floating], moves: Sequence[Move], locks: Sequence[Direction]) -> Change:
    """Find the least change of latents (N, D) that makes all moves and holds all locks.

    Raises InvalidRequest where an axis is left less than SMALLEST_REMAINDER by the locks, where moves contradict each
    other, where a target lies outside what the label can be, or where a move goes beyond an axis's hard limit.
    """
    if not moves:
        return Change(np.zeros(latents.shape), [], [], [])
    basis = _basis([lock.unit for lock in locks], latents.shape[1])
    free = [move.direction.unit - basis.T @ (basis @ move.direction.unit) for move in moves]
    left = [float(np.linalg.norm(part)) for part in free]
    _check_left(moves, locks, left)

    delta = np.zeros(latents.shape)
    for move, part, share in zip(moves, free, left, strict=True):
        if move.unit is Unit.DISTANCE:
            delta += move.direction.spread * move.amounts[:, None] * (part / share)
    fixed = [k for k, move in enumerate(moves) if move.unit is not Unit.DISTANCE]
    if fixed:
        delta += _least_norm(latents, delta, [moves[k] for k in fixed], np.array([free[k] for k in fixed]))
    steps = [move.direction.coordinate(delta) for move in moves]
    _check_hard_limits(moves, steps)
    return Change(delta, [move.direction.coordinate(latents) for move in moves], steps, left)


def _basis(units: Sequence[Float64s], size: int) -> Float64s:
    """Give an orthonormal basis (R, D) of the span of directions, which may depend on each other."""
    if not units:
        return np.zeros((0, size))
    _, strengths, rows = np.linalg.svd(np.array(units), full_matrices=False)
    return np.asarray(rows[strengths > 1e-9 * strengths[0]])


def _least_norm(latents: NDArray[np.floating], moved: Float64s, moves: Sequence[Move], free: Float64s) -> Float64s:
    """Give the shortest further change (N, D) within the rows of `free` that puts the moves' coordinates right."""
    _check_independent(moves, free)
    wanted = np.stack([_wanted_steps(latents, move) * move.direction.step for move in moves], axis=1)
    present = np.stack([(moved * move.direction.unit).sum(axis=-1) for move in moves], axis=1)
    inverse = np.linalg.pinv(free)  # (D, K)
    delta = np.zeros(latents.shape)
    for k in range(len(moves)):
        delta += (wanted - present)[:, k : k + 1] * inverse[:, k]
    return delta


def _wanted_steps(latents: NDArray[np.floating], move: Move) -> Float64s:
    if move.unit is Unit.STEPS:
        return move.amounts
    _check_targets(move)
    targets = np.array([move.direction.solve(label) for label in move.amounts])
    return targets - move.direction.coordinate(latents)


def _check_left(moves: Sequence[Move], locks: Sequence[Direction], left: Sequence[float]) -> None:
    for move, share in zip(moves, left, strict=True):
        if share < SMALLEST_REMAINDER:
            names = ", ".join(lock.axis.name for lock in locks)
            raise invalid(
                move.field,
                f"the locks ({names}) leave {share:.3f} of axis {move.direction.axis.name!r}, "
                f"and at least {SMALLEST_REMAINDER} is needed",
            )


def _check_independent(moves: Sequence[Move], free: Float64s) -> None:
    rows = free / np.linalg.norm(free, axis=1, keepdims=True)
    smallest = float(np.linalg.svd(rows, compute_uv=False)[-1]) if len(moves) <= rows.shape[1] else 0.0
    if smallest < SMALLEST_REMAINDER:
        names = ", ".join(repr(move.direction.axis.name) for move in moves)
        raise invalid(
            "edit.moves",
            f"axes {names} are too alike under the locks to be moved on their own "
            f"(smallest singular value {smallest:.3f}, at least {SMALLEST_REMAINDER} is needed)",
        )


def _check_targets(move: Move) -> None:
    axis = move.direction.axis
    if not move.direction.predicts:
        raise invalid(f"{move.field}.target", f"axis {axis.name!r} has no slope or intercept: move it by steps")
    low, high = {axis_pb2.LINK_LOGIT: (0.0, 1.0), axis_pb2.LINK_TANH: (-1.0, 1.0)}.get(axis.link, (-np.inf, np.inf))
    for label in move.amounts:
        if not low < label < high:
            raise invalid(
                f"{move.field}.target",
                f"{label:g} is not between {low:g} and {high:g}, as {axis.quantity} must be",
            )


def _check_hard_limits(moves: Sequence[Move], steps: Sequence[Float64s]) -> None:
    for move, moved in zip(moves, steps, strict=True):
        limit = move.direction.axis.hard_limit_steps
        furthest = float(np.abs(moved).max())
        if limit and not furthest <= limit * (1 + ROUNDING):
            raise invalid(
                move.field,
                f"axis {move.direction.axis.name!r} would move {furthest:.3g} steps, and its limit is {limit:g}",
            )
