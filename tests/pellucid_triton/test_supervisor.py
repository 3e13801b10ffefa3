import threading
from collections.abc import Callable

import pytest

from pellucid_triton.errors import StartError
from pellucid_triton.supervisor import BackOff, Phase, State, Supervisor


class ScriptedService:
    """Starts as its script says (None, or an error to raise), and ends when `crash` is called."""

    name = "scripted"

    def __init__(self, *script: Exception | None) -> None:
        self._script = list(script)
        self._ended = threading.Event()
        self.starts = 0
        self.stops = 0

    def start(self) -> None:
        self.starts += 1
        self._ended.clear()
        error = self._script.pop(0) if self._script else None
        if error:
            raise error

    def wait(self, timeout_s: float | None = None) -> int | None:
        return 9 if self._ended.wait(timeout_s) else None

    def crash(self) -> None:
        self._ended.set()

    def stop(self) -> int | None:
        self.stops += 1
        self._ended.set()
        return 0


class States:
    """Collects states and lets a test wait for one."""

    def __init__(self) -> None:
        self.seen: list[State] = []
        self._changed = threading.Condition()

    def __call__(self, state: State) -> None:
        with self._changed:
            self.seen.append(state)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[State], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(condition, self.seen)), 10)


def test_delays_double_up_to_the_limit() -> None:
    back_off = BackOff(first_s=0.5, factor=2, limit_s=3)
    assert [back_off.delay_s(attempt) for attempt in (0, 1, 2, 3, 1000)] == [0.5, 1, 2, 3, 3]


def test_a_first_start_that_fails_is_raised() -> None:
    supervisor = Supervisor(ScriptedService(StartError("port 8001 is taken")))
    with pytest.raises(StartError, match="port 8001 is taken"):
        supervisor.start()
    assert supervisor.state.phase is Phase.STOPPED


def test_a_crashed_service_is_restarted_until_it_starts() -> None:
    service, states = ScriptedService(None, StartError("no"), RuntimeError("still not")), States()
    supervisor = Supervisor(service, BackOff(first_s=0.001), states)
    supervisor.start()
    service.crash()
    states.wait_for(lambda state: state.restarts == 1)
    supervisor.stop()
    assert service.starts == 4
    failures = [state.failure for state in states.seen if state.phase is Phase.BACKING_OFF]
    assert failures == ["ended with status 9", "no", "still not"]
    assert supervisor.state == State(Phase.STOPPED, 1, "still not")


def test_the_delay_grows_while_a_service_keeps_crashing_and_starts_anew_after_a_healthy_run() -> None:
    for healthy_s, expected in ((3600.0, [0, 1, 2]), (0.0, [0, 0, 0])):
        service, states, attempts = ScriptedService(), States(), []

        class Recorded(BackOff):
            def delay_s(self, attempt: int) -> float:
                attempts.append(attempt)  # noqa: B023 - read before the loop goes on
                return 0

        supervisor = Supervisor(service, Recorded(healthy_s=healthy_s), states)
        supervisor.start()
        for restarts in (1, 2, 3):
            service.crash()
            states.wait_for(lambda state, wanted=restarts: state.restarts == wanted)
        supervisor.stop()
        assert attempts == expected


def test_stop_does_not_wait_for_the_delay() -> None:
    service, states = ScriptedService(), States()
    supervisor = Supervisor(service, BackOff(first_s=3600, limit_s=3600), states)
    supervisor.start()
    service.crash()
    states.wait_for(lambda state: state.phase is Phase.BACKING_OFF)
    supervisor.stop()
    assert service.starts == 1
    assert supervisor.state.phase is Phase.STOPPED


def test_stop_before_start_is_harmless() -> None:
    supervisor = Supervisor(ScriptedService())
    supervisor.stop()
    assert supervisor.state.phase is Phase.STOPPED
