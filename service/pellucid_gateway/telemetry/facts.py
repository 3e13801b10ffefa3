"""What the admin port is told of a gateway: plain facts, gathered on the event loop."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from pellucid.v1 import model_pb2

_PACKAGES = ("pellucid", "grpcio", "protobuf", "numpy", "uvloop")


@dataclass(frozen=True)
class Facts:
    """A gateway at one moment.

    `replicas` are Tritons, with what is to be shown of each by name; `in_flight` counts calls, images and bytes.
    """

    reachable: bool
    draining: bool
    models: Sequence[model_pb2.Model]
    replicas: Sequence[Mapping[str, object]] = ()
    in_flight: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """Why no calls should be sent to this gateway; nothing where it is ready."""
        available = any(card.state == model_pb2.STATE_AVAILABLE for card in self.models)
        told = {
            "draining": self.draining,
            "no Triton can be reached": not self.reachable,
            "no model is available": not available,
        }
        return [reason for reason, holds in told.items() if holds]


def versions() -> dict[str, str]:
    """Give the versions of what runs here."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
