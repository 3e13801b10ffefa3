"""Keeps a service running: restarts it after a crash, ever more slowly while it keeps failing."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

_log = logging.getLogger(__name__)


class Service(Protocol):
    """Something that can be started again after its end."""

    name: str

    def start(self) -> None:
        """Start, and return when it is ready; raises when it does not get ready."""

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status after its end, or None when the time is over first."""

    def stop(self) -> int | None:
        """End it; another thread that is in `start` or `wait` returns."""


class Phase(Enum):
    """What a supervised service is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing off"


@dataclass(frozen=True)
class State:
    """The state of a supervised service."""

    phase: Phase = Phase.STOPPED
    restarts: int = 0
    """Successful restarts since the supervisor was started."""
    failure: str = ""
    """The last crash or failed start; empty when there was none."""


@dataclass(frozen=True)
class BackOff:
    """How long to wait before the n-th restart in a row."""

    first_s: float = 0.5
    factor: float = 2.0
    limit_s: float = 30.0
    healthy_s: float = 60.0
    """A run of this length starts the row anew."""

    def delay_s(self, attempt: int) -> float:
        """Return the delay before restart number `attempt`, counted from 0."""
        # The exponent is bounded because a service may fail for days.
        return min(self.limit_s, self.first_s * self.factor ** min(attempt, 64))


class Supervisor:
    """Runs one service until stopped; `on_change` is told of each new state, from the supervisor's thread."""

    def __init__(
        self,
        service: Service,
        back_off: BackOff | None = None,
        on_change: Callable[[State], None] | None = None,
    ) -> None:
        self._service = service
        self._back_off = back_off or BackOff()
        self._on_change = on_change
        self._stopping = threading.Event()
        self._state = State()
        self._thread = threading.Thread(target=self._watch, name=f"supervise-{service.name}", daemon=True)

    @property
    def state(self) -> State:
        """The service's present state."""
        return self._state

    def start(self) -> None:
        """Start the service, and watch it from then on; raises what its first start raises."""
        self._enter(Phase.STARTING)
        try:
            self._service.start()
        except BaseException:
            self._enter(Phase.STOPPED)
            raise
        self._enter(Phase.RUNNING)
        self._thread.start()

    def stop(self) -> None:
        """Stop the service, also in the middle of a restart; return when it has ended."""
        self._stopping.set()
        while self._thread.is_alive():
            self._service.stop()
            self._thread.join(0.1)
        self._service.stop()
        self._enter(Phase.STOPPED)

    def _watch(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            failure = f"ended with status {self._service.wait()}"
            if time.monotonic() - began >= self._back_off.healthy_s:
                attempt = 0
            while failure and not self._stopping.is_set():
                self._enter(Phase.BACKING_OFF, failure)
                if self._stopping.wait(self._back_off.delay_s(attempt)):
                    return
                attempt += 1
                failure = self._restart()

    def _restart(self) -> str:
        """Start the service again; return why it failed, or nothing."""
        self._enter(Phase.STARTING)
        try:
            self._service.start()
        # Whatever the reason, the next attempt may succeed: a full disk, a taken port, a half-written model.
        except Exception as error:
            return str(error) or type(error).__name__
        self._enter(Phase.RUNNING, is_restart=True)
        return ""

    def _enter(self, phase: Phase, failure: str = "", *, is_restart: bool = False) -> None:
        self._state = State(phase, self._state.restarts + is_restart, failure or self._state.failure)
        log = _log.warning if failure else _log.info
        log("%s is %s%s", self._service.name, phase.value, f": {failure}" if failure else "")
        if self._on_change:
            self._on_change(self._state)
