"""Jobs to numbered slices with their recipes, a slice at a time: a million images need no more memory than sixteen.

plan.drafts -> the points where images start -> (those behind the mapping: mapped) -> plan.complete -> a Slice
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pellucid.v1 import image_pb2, latent_pb2, model_pb2
from pellucid_gateway import axes, conditions, recipes
from pellucid_gateway.axes import Change, Move
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.chain import LATENT, STYLE
from pellucid_gateway.edits import Edit
from pellucid_gateway.errors import InvalidRequest, Violation, invalid
from pellucid_gateway.jobs import Job, Seeds, check_task
from pellucid_gateway.latents import Latents
from pellucid_gateway.recipes import Mix, Origin, Sources
from pellucid_gateway.styles import Leaf, Style, Styles
from pellucid_gateway.versions import ServedVersion

MAX_RECIPE_EDITS = 64
MAX_RECIPE_BYTES = 2**19
MAX_REPLAYED_EDITS = 1024
LIGHT_EDITS = 8
"""Edit sets that may be solved on the event loop, at some 100 microseconds each."""


def is_light(job: Job) -> bool:
    """Say whether a job can be planned on the event loop. Raises InvalidRequest where it is too heavy for any."""
    mixed = [mix.source for mix in job.controls.style_mixes]
    if isinstance(job.sources, Seeds) and not mixed:
        return True
    given = [] if isinstance(job.sources, Seeds) else list(job.sources)
    for number, source in enumerate((*given, *mixed)):
        at = f"{job.field}[{number}]" if number < len(given) else f"controls.style_mixes[{number - len(given)}].source"
        if recipes.nesting(source) + (bool(job.walk) or number >= len(given)) > recipes.MAX_DEPTH:
            raise invalid(at, f"interpolations and mixes would be nested deeper than {recipes.MAX_DEPTH}")
    edits = sum(recipes.edits_in(source) for source in (*given, *mixed))
    if edits > MAX_REPLAYED_EDITS:
        raise invalid(job.field, f"recipes with {edits} edits in all, and the limit is {MAX_REPLAYED_EDITS}")
    return edits <= LIGHT_EDITS


@dataclass(frozen=True)
class Told:
    """What is said of images beside their pixels: what happened to the axes that moved, and things to know."""

    axis_moves: list[list[image_pb2.AxisMove]]
    warnings: list[list[str]]


@dataclass(frozen=True)
class Draft:
    """Images `first`, `first` + 1, ... of a job before the mapping: where each starts, edited in Z."""

    first: int
    origins: list[Origin]
    told: Told

    @property
    def leaves(self) -> list[Leaf]:
        """What must be mapped in a model with a mapping, in order."""
        return [leaf for origin in self.origins for leaf in origin.leaves]

    @property
    def recipe_bytes(self) -> int:
        """Size of what goes with the images."""
        moves = sum(move.ByteSize() for moves in self.told.axis_moves for move in moves)
        warnings = sum(len(warning) for said in self.told.warnings for warning in said)
        return sum(origin.recipe.ByteSize() for origin in self.origins) + moves + warnings


@dataclass(frozen=True)
class Slice:
    """A draft's images, ready to be computed: `tensors` (N, ...) go into the model's synthesis.

    `latents` are where the images are in the last space that they went through, none unless they were asked for.
    """

    first: int
    tensors: Mapping[str, Tensor]
    latents: list[latent_pb2.Latent]
    origins: list[Origin]
    told: Told


class Plan:
    """A job checked against the version that is to serve it: raises InvalidRequest, NotFound or Refused."""

    def __init__(self, job: Job, served: ServedVersion):
        check_task(served.card, model_pb2.TASK_GENERATE, model_pb2.TASK_CAPTION_TO_IMAGE)
        self.job = job
        self.served = served
        self._sources = Sources(served)
        self._edit = Edit(job.edit, served, "edit", sweep=job.sweep)
        # One source may have many variants in a row, and key frames come again for every frame.
        self._origin = lru_cache(maxsize=len(job.sources) if job.walk else 1)(self._follow)

    @property
    def is_edited_late(self) -> bool:
        """Whether the edit lies behind the mapping, and drafts do not tell of it yet."""
        return self._edit.is_behind_mapping

    def check(self) -> None:
        """Check all given latents and recipes, and solve an edit in Z once for every amount of the sweep.

        For jobs that are too long to be planned whole before their first inference.
        """
        if not isinstance(self.job.sources, Seeds):
            for number in range(len(self.job.sources)):
                self._origin(number)
        self._draft(range(min(self.job.variants, self.job.count)))

    def drafts(self, size: int) -> Iterator[Draft]:
        """Give the job's images in order, `size` at a time."""
        for first in range(0, self.job.count, size):
            yield self._draft(range(first, min(first + size, self.job.count)))

    def complete(self, draft: Draft, mapped: Styles) -> Slice:
        """Edit in W and mix a draft's images, whose leaves were `mapped` to styles (N, layers, size).

        Raises InvalidRequest for an edit that an image cannot take.
        """
        if not self.served.chain.mapping:
            rows = np.stack([_latent(origin) for origin in draft.origins])
            return self._slice(draft, {LATENT: rows}, map(_told_z, rows))
        style, others = _finished(draft.origins, mapped)
        if self._edit.is_behind_mapping:
            style, draft = self._edited(style, draft)
        for row, mixes in enumerate(others):
            for mix, other in mixes:
                style[row, mix.layers.first : mix.layers.last + 1] = other[mix.layers.first : mix.layers.last + 1]
        return self._slice(draft, {STYLE: style}, map(_told_w, style))

    def _slice(self, draft: Draft, tensors: dict[str, Tensor], told: Iterable[latent_pb2.Latent]) -> Slice:
        brought = {name for stage in self.served.chain.synthesis for name in stage.inputs} & conditions.NAMES
        rows = [origin.conditions for origin in draft.origins]
        tensors |= {name: np.stack([row.row(name, self.served) for row in rows]) for name in brought}
        latents = list(told) if self.job.include_latent else []
        return Slice(draft.first, tensors, latents, draft.origins, draft.told)

    def _draft(self, indices: range) -> Draft:
        origins = [self._origin_of(index) for index in indices]
        warnings = [origin.conditions.warnings for origin in origins]
        draft = Draft(indices[0], [_own(origin) for origin in origins], Told([[] for _ in origins], warnings))
        if not self._edit or self._edit.is_behind_mapping:
            return draft
        for number, origin in enumerate(origins):
            recipes.check_order(origin, self._edit, f"{self.job.field}[{(indices[0] + number) // self.job.variants}]")
        after, draft = self._edited(np.stack([_latent(origin) for origin in origins]), draft)
        edited = [replace(origin, point=row) for origin, row in zip(draft.origins, after, strict=True)]
        return replace(draft, origins=edited)

    def _edited(self, start: Latents, draft: Draft) -> tuple[Latents, Draft]:
        """Apply the job's edit to rows; the draft is told of it, and its recipes are lengthened."""
        indices = range(draft.first, draft.first + len(draft.origins))
        sweep = self.job.sweep
        amounts = np.array([sweep.amounts[index % self.job.variants] for index in indices]) if sweep else None
        moves = self._edit.moves(len(indices), amounts)
        try:
            after, change = self._edit.solve(start, moves)
        except InvalidRequest as error:
            raise _located(error, indices) from error
        for row, origin in enumerate(draft.origins):
            origin.recipe.edits.append(self._edit.applied(None if amounts is None else float(amounts[row])))
        said = [draft.told.warnings[row] + _warnings(moves, change, row) for row in range(len(indices))]
        told = Told([_moved(moves, change, row) for row in range(len(indices))], said)
        return after, replace(draft, told=told)

    def _origin_of(self, index: int) -> Origin:
        walk = self.job.walk
        if walk is None:
            return self._origin(index // self.job.variants)
        segment, frame = divmod(index, walk.frames)
        if frame == 0:
            return self._origin(segment)
        sources = self.job.sources[segment], self.job.sources[segment + 1]
        way = image_pb2.Interpolation(start=sources[0], end=sources[1], position=frame / walk.frames, path=walk.path)
        ends = self._key_frame(segment), self._key_frame(segment + 1)
        return self._sources.between(*ends, way, self.job.controls, f"{self.job.field}[{segment}]")

    def _follow(self, number: int) -> Origin:
        at = f"{self.job.field}[{number}]"
        origin = self._sources.follow(self.job.sources[number], self.job.controls, at)
        edits, size = len(origin.recipe.edits) + self.job.is_edit, origin.recipe.ByteSize()
        if edits > MAX_RECIPE_EDITS:
            raise invalid(at, f"its recipe would have {edits} edits, and the limit is {MAX_RECIPE_EDITS}")
        if size > MAX_RECIPE_BYTES:
            raise invalid(at, f"its recipe has {size} bytes, and the limit is {MAX_RECIPE_BYTES}")
        return origin

    def _key_frame(self, number: int) -> Origin:
        """Give an end of a way: the job's own style mixes come after it."""
        if not self.job.controls.style_mixes:
            return self._origin(number)
        unmixed = recipes.without_mixes(self.job.controls)
        return self._sources.follow(self.job.sources[number], unmixed, f"{self.job.field}[{number}]")


def _own(origin: Origin) -> Origin:
    """Give an origin whose recipe may be lengthened: variants of a source share theirs."""
    recipe = image_pb2.Recipe()
    recipe.CopyFrom(origin.recipe)
    return replace(origin, recipe=recipe)


def _latent(origin: Origin) -> Latents:
    if isinstance(origin.point, Style):
        raise AssertionError("unreachable: only models with a mapping have styles, and edits in Z are checked for them")
    return origin.point


def _finished(origins: list[Origin], mapped: Styles) -> tuple[Styles, list[list[tuple[Mix, Styles]]]]:
    """Share out mapped styles among the origins (N, layers, size) and what is to be mixed into each."""
    own, others, at = [], [], 0

    def finish(style: Style) -> Styles:
        nonlocal at
        at += len(style.leaves)
        return style.finish(mapped[at - len(style.leaves) : at])

    for origin in origins:
        own.append(finish(origin.style))
        others.append([(mix, finish(mix.style)) for mix in origin.mixes])
    return np.stack(own), others


def _told_z(row: Latents) -> latent_pb2.Latent:
    return latent_pb2.Latent(space=latent_pb2.SPACE_Z, values=row)


def _told_w(row: Styles) -> latent_pb2.Latent:
    if (row == row[0]).all():
        return latent_pb2.Latent(space=latent_pb2.SPACE_W, values=row[0])
    return latent_pb2.Latent(space=latent_pb2.SPACE_W_PLUS, values=row.reshape(-1))


def _located(error: InvalidRequest, indices: range) -> InvalidRequest:
    """Say among which images a fault is: what a target needs depends on where an image starts."""
    among = f"image {indices[0]}" if len(indices) == 1 else f"images {indices[0]} to {indices[-1]}"
    return InvalidRequest([Violation(v.field, f"{v.description} ({among})") for v in error.violations])


def _moved(moves: list[Move], change: Change, row: int) -> list[image_pb2.AxisMove]:
    told = []
    for move, start, steps, left in zip(moves, change.before, change.steps, change.left_by_locks, strict=True):
        said = image_pb2.AxisMove(axis=move.direction.axis.name, steps=float(steps[row]), left_by_locks=left)
        if move.direction.predicts:
            said.predicted_before = move.direction.predict(float(start[row]))
            said.predicted_after = move.direction.predict(float(start[row] + steps[row]))
        told.append(said)
    return told


def _warnings(moves: list[Move], change: Change, row: int) -> list[str]:
    return [
        f"axis {move.direction.axis.name!r} moves {steps[row]:.3g} steps, beyond its linear range of "
        f"{move.direction.axis.linear_range_steps:g}"
        for move, steps in zip(moves, change.steps, strict=True)
        if abs(steps[row]) > move.direction.axis.linear_range_steps * (1 + axes.ROUNDING) > 0
    ]
