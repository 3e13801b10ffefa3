import pytest

from pellucid_gateway.pace import Pace


class Hand:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def pace(hand: Hand) -> Pace:
    return Pace(hand)


def computed(pace: Pace, hand: Hand, rows: int, seconds: float) -> None:
    sent_at = hand.now
    hand.now += seconds
    pace.done(rows, sent_at)


def test_rows_ahead_are_waited_for_at_the_measured_pace(pace: Pace, hand: Hand) -> None:
    computed(pace, hand, 10, 0.5)
    pace.arrived(40)
    assert pace.expected_s(10) == pytest.approx(50 * 0.05)
    pace.left(30)
    assert pace.expected_s(10) == pytest.approx(20 * 0.05)


def test_a_few_rows_take_as_long_as_a_batch(pace: Pace, hand: Hand) -> None:
    computed(pace, hand, 16, 0.8)
    pace.arrived(1)
    assert pace.expected_s(1) == pytest.approx(0.8)


def test_nothing_is_expected_late_where_nothing_is_under_way(pace: Pace, hand: Hand) -> None:
    assert pace.expected_s(1000) == 0
    computed(pace, hand, 1, 60)
    assert pace.expected_s(1000) == 0


def test_batches_in_flight_together_share_the_time(pace: Pace, hand: Hand) -> None:
    first = second = hand.now
    hand.now += 1.0
    pace.done(10, first)
    hand.now += 0.5
    pace.done(10, second)
    pace.arrived(1000)
    # 0.1 s a row at first; then 0.05, which counts a fifth.
    assert pace.expected_s(0) == pytest.approx(1000 * (0.8 * 0.1 + 0.2 * 0.05))


def test_the_newest_batches_count_most(pace: Pace, hand: Hand) -> None:
    computed(pace, hand, 1, 10.0)
    for _ in range(40):
        computed(pace, hand, 1, 0.1)
    pace.arrived(100)
    assert pace.expected_s(0) == pytest.approx(100 * 0.1, rel=0.05)
