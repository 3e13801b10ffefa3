"""One request's way through the stages of a version."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pellucid.v1 import model_pb2
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import Overloaded
from pellucid_gateway.versions import ServedVersion

CAUTION = 1.25
"""What is expected is a mean: without a margin, half of what is taken at the edge would be late, computed in vain."""


@dataclass(frozen=True)
class Run:
    """Runs tensors through stages, at a priority (Triton's, 1 the highest), until a deadline on the monotonic clock."""

    dispatcher: Dispatcher
    served: ServedVersion
    priority: int
    deadline: float | None
    clock: Clock

    def refuse_late(self, stages: Sequence[model_pb2.Stage], rows: int) -> None:
        """Refuse what could not be done by its deadline. Raises Overloaded, before any work."""
        if self.deadline is None:
            return
        needed = CAUTION * sum(self.dispatcher.expected_s(stage.model, self.priority, rows) for stage in stages)
        left = self.deadline - time.monotonic()
        if needed > left:
            raise Overloaded(
                f"{rows} images of {self.served.card.name} would take {needed:.3g} s now, and the deadline is in "
                f"{left:.3g} s",
                needed,
                "deadline",
            )

    async def through(
        self, stages: Sequence[model_pb2.Stage], tensors: Mapping[str, Tensor], wanted: Collection[str]
    ) -> Mapping[str, Tensor]:
        """Run rows through stages, each of which takes by name what is there, and give what is `wanted`."""
        known = dict(tensors)
        for number, stage in enumerate(stages):
            needed = {name for later in stages[number + 1 :] for name in later.inputs} | set(wanted)
            work = Work(
                model=stage.model,
                version=self.served.version.name,
                inputs={name: known[name] for name in stage.inputs},
                outputs=tuple(name for name in stage.outputs if name in needed),
                max_batch_size=self.served.card.max_batch_size,
                priority=self.priority,
                deadline=self.deadline,
            )
            outcome = await self.dispatcher.run(work)
            self.clock.add(outcome)
            known.update(outcome.outputs)
        return {name: known[name] for name in wanted}
