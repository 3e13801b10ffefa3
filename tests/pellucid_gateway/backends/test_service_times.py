import pytest

from pellucid_gateway.backends.service_times import ServiceTimes


def test_a_model_that_was_never_measured_is_waited_for_without_end() -> None:
    times = ServiceTimes()
    times.record("paint", 1)
    assert times.patience_s("meter") is None


def test_patience_is_ten_times_the_slowest_and_at_least_a_second() -> None:
    times = ServiceTimes()
    times.record("paint", 0.01)
    assert times.patience_s("paint") == 1
    times.record("paint", 0.5)
    times.record("paint", 0.01)
    assert times.patience_s("paint") == pytest.approx(10 * 0.5 * 0.98)


def test_one_slow_batch_is_forgotten_by_and_by() -> None:
    times = ServiceTimes()
    times.record("paint", 4)
    for _ in range(34):
        times.record("paint", 0.01)
    assert times.patience_s("paint") == pytest.approx(20, rel=0.02)
    for _ in range(200):
        times.record("paint", 0.01)
    assert times.patience_s("paint") == 1
