"""Jobs to numbered latents with their recipes, a slice at a time: a million images need no more memory than sixteen."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pellucid.v1 import generation_service_pb2, image_pb2, model_pb2
from pellucid_gateway import axes, recipes
from pellucid_gateway.axes import Change, Direction, Move, Unit
from pellucid_gateway.catalog import ServedVersion
from pellucid_gateway.errors import InvalidRequest, Violation, invalid
from pellucid_gateway.jobs import Job, Seeds, check_controls, check_edit, check_task
from pellucid_gateway.latents import Latents
from pellucid_gateway.recipes import Origin

MAX_RECIPE_EDITS = 64
MAX_RECIPE_BYTES = 2**19
MAX_REPLAYED_EDITS = 1024
LIGHT_EDITS = 8
"""Edit sets that may be solved on the event loop, at some 100 microseconds each."""

_UNITS = {
    generation_service_pb2.MOVE_UNIT_UNSPECIFIED: Unit.STEPS,
    generation_service_pb2.MOVE_UNIT_STEPS: Unit.STEPS,
    generation_service_pb2.MOVE_UNIT_TARGET: Unit.TARGET,
    generation_service_pb2.MOVE_UNIT_DISTANCE: Unit.DISTANCE,
}


def is_light(job: Job) -> bool:
    """Say whether a job can be planned on the event loop. Raises InvalidRequest where it is too heavy for any."""
    if isinstance(job.sources, Seeds):
        return True
    for number, source in enumerate(job.sources):
        if recipes.nesting(source) + bool(job.walk) > recipes.MAX_DEPTH:
            raise invalid(f"{job.field}[{number}]", f"interpolations would be nested deeper than {recipes.MAX_DEPTH}")
    edits = sum(recipes.edits_in(source) for source in job.sources)
    if edits > MAX_REPLAYED_EDITS:
        raise invalid(job.field, f"recipes with {edits} edits in all, and the limit is {MAX_REPLAYED_EDITS}")
    return edits <= LIGHT_EDITS


@dataclass(frozen=True)
class Slice:
    """Images `first`, `first` + 1, ... of a job: latents (N, D), and for each its recipe, axis moves and warnings."""

    first: int
    latents: Latents
    recipes: list[image_pb2.Recipe]
    axis_moves: list[list[image_pb2.AxisMove]]
    warnings: list[list[str]]

    @property
    def recipe_bytes(self) -> int:
        """Size of what goes with the images."""
        moves = sum(move.ByteSize() for told in self.axis_moves for move in told)
        warnings = sum(len(warning) for said in self.warnings for warning in said)
        return sum(recipe.ByteSize() for recipe in self.recipes) + moves + warnings


class Plan:
    """A job checked against the version that is to serve it: raises InvalidRequest, NotFound or Refused."""

    def __init__(self, job: Job, served: ServedVersion):
        check_task(served.card, model_pb2.TASK_GENERATE, model_pb2.TASK_CAPTION_TO_IMAGE)
        check_controls(served.card, job.controls)
        check_edit(job.edit, job.sweep, "edit")
        self.job = job
        self.served = served
        # One source may have many variants in a row, and key frames come again for every frame.
        self._origin = lru_cache(maxsize=len(job.sources) if job.walk else 1)(self._follow)
        self._locks = recipes.locks_of(job.edit, served.axes, "edit", {})
        self._swept = self._sweep_direction()

    def check(self) -> None:
        """Check all given latents and recipes, and solve the edit once for every amount of the sweep.

        For jobs that are too long to be planned whole before their first inference.
        """
        if not isinstance(self.job.sources, Seeds):
            for number in range(len(self.job.sources)):
                self._origin(number)
        self._slice(range(min(self.job.variants, self.job.count)))

    def slices(self, size: int) -> Iterator[Slice]:
        """Give the job's images in order, `size` at a time."""
        for first in range(0, self.job.count, size):
            yield self._slice(range(first, min(first + size, self.job.count)))

    def _slice(self, indices: range) -> Slice:
        origins = [self._origin_of(index) for index in indices]
        start = np.stack([origin.latent for origin in origins])
        moves = self._moves(indices)
        if not moves and not self._locks:
            made = [_copied(origin.recipe) for origin in origins]
            return Slice(indices[0], start, made, [[] for _ in made], [[] for _ in made])
        try:
            change = axes.solve(start, moves, self._locks)
            after = recipes.moved(start, change.delta, "edit")
        except InvalidRequest as error:
            raise _located(error, indices) from error
        return Slice(
            indices[0],
            after,
            [self._recipe(origin.recipe, index) for origin, index in zip(origins, indices, strict=True)],
            [_told(start[row], moves, change, row) for row in range(len(indices))],
            [_warnings(moves, change, row) for row in range(len(indices))],
        )

    def _origin_of(self, index: int) -> Origin:
        if self.job.walk is None:
            return self._origin(index // self.job.variants)
        segment, frame = divmod(index, self.job.walk.frames)
        if frame == 0:
            return self._origin(segment)
        sources = self.job.sources
        ends = self._origin(segment).latent, self._origin(segment + 1).latent
        at = frame / self.job.walk.frames
        return recipes.between(sources[segment], sources[segment + 1], ends, at, self.job.walk.path, self.served)

    def _follow(self, number: int) -> Origin:
        field = f"{self.job.field}[{number}]"
        origin = recipes.follow(self.job.sources[number], self.served, field)
        edits, size = len(origin.recipe.edits) + self.job.is_edit, origin.recipe.ByteSize()
        if edits > MAX_RECIPE_EDITS:
            raise invalid(field, f"its recipe would have {edits} edits, and the limit is {MAX_RECIPE_EDITS}")
        if size > MAX_RECIPE_BYTES:
            raise invalid(field, f"its recipe has {size} bytes, and the limit is {MAX_RECIPE_BYTES}")
        return origin

    def _sweep_direction(self) -> Direction | None:
        if not self.job.sweep:
            return None
        return recipes.find(self.served.axes, self.job.sweep.axis, "sweep.axis", {})

    def _moves(self, indices: range) -> list[Move]:
        moves = recipes.moves_of(self.job.edit, self.served.axes, len(indices), "edit", {})
        if self.job.sweep and self._swept:
            amounts = np.array([self.job.sweep.amounts[index % self.job.variants] for index in indices])
            moves.append(Move(self._swept, _UNITS[self.job.sweep.unit], amounts, "sweep"))
        return moves

    def _recipe(self, start: image_pb2.Recipe, index: int) -> image_pb2.Recipe:
        recipe = _copied(start)
        applied = recipe.edits.add(edit=self.job.edit)
        if self.job.sweep and self._swept:
            unit = _UNITS[self.job.sweep.unit].value
            amount = self.job.sweep.amounts[index % self.job.variants]
            applied.edit.moves.append(image_pb2.Move(axis=self.job.sweep.axis, **{unit: amount}))
        for name in (*(move.axis for move in applied.edit.moves), *applied.edit.locks):
            applied.axis_set_digests[name] = self.served.axes.find(name).axis.axis_set_digest
        return recipe


def _copied(recipe: image_pb2.Recipe) -> image_pb2.Recipe:
    copy = image_pb2.Recipe()
    copy.CopyFrom(recipe)
    return copy


def _located(error: InvalidRequest, indices: range) -> InvalidRequest:
    """Say among which images a fault is: what a target needs depends on where an image starts."""
    among = f"image {indices[0]}" if len(indices) == 1 else f"images {indices[0]} to {indices[-1]}"
    return InvalidRequest([Violation(v.field, f"{v.description} ({among})") for v in error.violations])


def _told(start: Latents, moves: list[Move], change: Change, row: int) -> list[image_pb2.AxisMove]:
    told = []
    for move, steps, left in zip(moves, change.steps, change.left_by_locks, strict=True):
        said = image_pb2.AxisMove(axis=move.direction.axis.name, steps=float(steps[row]), left_by_locks=left)
        if move.direction.predicts:
            before = float(move.direction.coordinate(start))
            said.predicted_before = move.direction.predict(before)
            said.predicted_after = move.direction.predict(before + float(steps[row]))
        told.append(said)
    return told


def _warnings(moves: list[Move], change: Change, row: int) -> list[str]:
    return [
        f"axis {move.direction.axis.name!r} moves {steps[row]:.3g} steps, beyond its linear range of "
        f"{move.direction.axis.linear_range_steps:g}"
        for move, steps in zip(moves, change.steps, strict=True)
        if abs(steps[row]) > move.direction.axis.linear_range_steps * (1 + axes.ROUNDING) > 0
    ]
