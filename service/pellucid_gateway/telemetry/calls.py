"""One call from its arrival to its status: counted, traced, logged, and named in all that is logged meanwhile."""

import time
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from pellucid_gateway.identity.caller import ANONYMOUS, Caller
from pellucid_gateway.telemetry import metrics, traces

REMEMBERED = 50
"""Calls that ended badly which are remembered for the debug page."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class Ended:
    """A call that was refused or failed; `reason` is what its caller was told."""

    method: str
    model: str
    code: str
    reason: str
    caller: str
    request_id: str
    seconds: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


recent: deque[Ended] = deque(maxlen=REMEMBERED)
"""The calls that ended badly last, the newest at the end."""


class Call:
    """A call of a gRPC method (`/package.Service/Method`), which began now.

    It is the `current` one of the task that makes it. `caller` and `model` (`models/{model}`) may be set later, as soon
    as they are known.
    """

    def __init__(
        self,
        method: str,
        request_id: str,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        caller: Caller = ANONYMOUS,
        model: str = "",
    ):
        self.method = method
        self.request_id = request_id
        self.caller = caller
        self.model = model
        self._started = time.monotonic()
        self._span = traces.call(method, metadata)
        current.set(self)
        metrics.call_started(method)

    @property
    def facts(self) -> dict[str, str]:
        """What is said of the call wherever it is named."""
        known = {
            "method": self.method,
            "request_id": self.request_id,
            "caller": self.caller.name,
            "caller_kind": self.caller.kind.value,
            "model": self.model,
            "trace_id": traces.trace_id(self._span),
        }
        return {name: value for name, value in known.items() if value}

    def end(self, code: str, reason: str = "") -> None:
        """End the call with the name of its status code, and the reason where it is not OK."""
        seconds, facts = time.monotonic() - self._started, self.facts
        metrics.call_handled(self.method, code, self.caller.kind, seconds)
        log = _log.debug if code == "OK" else _log.info
        log("call", **facts, code=code, reason=reason, duration_ms=round(seconds * 1e3, 3))
        if code != "OK":
            told = self.method, self.model, code, reason, self.caller.kind.value, self.request_id, seconds
            recent.append(Ended(*told))
        traces.ended(self._span, code, facts)


current: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that is being served."""


def made(model: str, images: int) -> None:
    """Count images of a model (`models/{model}`) that were made, or labelled, for the current call."""
    call = current.get()
    if call is None:
        return
    # A stream names its model in a message, not in its request.
    call.model = call.model or model
    metrics.images_made(model, call.method, images)
