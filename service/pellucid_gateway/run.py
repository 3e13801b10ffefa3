"""One request's way through the stages of a version."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pellucid.v1 import model_pb2
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.catalog import ServedVersion
from pellucid_gateway.clock import Clock
from pellucid_gateway.dispatch import Dispatcher, Work


@dataclass(frozen=True)
class Run:
    """Runs tensors through stages, at a priority (Triton's, 1 the highest), until a deadline on the monotonic clock."""

    dispatcher: Dispatcher
    served: ServedVersion
    priority: int
    deadline: float | None
    clock: Clock

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
