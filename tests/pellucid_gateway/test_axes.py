import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from pellucid.v1 import axis_pb2
from pellucid_gateway.axes import Direction, Move, Unit, solve
from pellucid_gateway.errors import InvalidRequest


def direction(name: str, unit: list[float], **facts: object) -> Direction:
    axis = axis_pb2.Axis(name=name, quantity=name, step_length=facts.pop("step_length", 1.0), **facts)
    vector = np.array(unit, dtype=np.float64)
    return Direction(axis, vector / np.linalg.norm(vector))


def move(axis: Direction, amount: float, unit: Unit = Unit.STEPS) -> Move:
    return Move(axis, unit, np.array([amount]), f"edit.moves[{axis.axis.name}]")


X, Y = direction("x", [1, 0, 0]), direction("y", [0, 1, 0])
XY = direction("xy", [1, 1, 0])
ORIGIN = np.zeros((1, 3), dtype=np.float32)


def test_one_axis_moves_along_itself() -> None:
    change = solve(ORIGIN, [move(XY, 2)], [])
    np.testing.assert_allclose(change.delta, [[np.sqrt(2), np.sqrt(2), 0]])
    assert change.left_by_locks == [pytest.approx(1)]


def test_a_locked_axis_stays_and_the_moved_one_still_goes_as_far_as_asked() -> None:
    change = solve(ORIGIN, [move(XY, 1)], [X])
    np.testing.assert_allclose(change.delta, [[0, np.sqrt(2), 0]], atol=1e-12)
    assert XY.coordinate(change.delta)[0] == pytest.approx(1)
    assert change.left_by_locks == [pytest.approx(np.sqrt(0.5))]


def test_two_axes_each_move_as_far_as_asked_whatever_their_angle() -> None:
    change = solve(ORIGIN, [move(X, 1), move(XY, 0)], [])
    np.testing.assert_allclose(change.delta, [[1, -1, 0]], atol=1e-12)


def test_a_distance_is_a_length_along_what_the_locks_leave() -> None:
    change = solve(ORIGIN, [move(XY, 0.4, Unit.DISTANCE)], [X])
    np.testing.assert_allclose(change.delta, [[0, 0.4, 0]], atol=1e-12)


def test_distances_come_before_steps_which_then_hold() -> None:
    change = solve(ORIGIN, [move(XY, 1, Unit.DISTANCE), move(X, 0)], [])
    np.testing.assert_allclose(change.delta, [[0, np.sqrt(0.5), 0]], atol=1e-12)


def test_a_step_is_as_long_as_the_axis_says() -> None:
    long = direction("long", [1, 0, 0], step_length=3.0)
    np.testing.assert_allclose(solve(ORIGIN, [move(long, 2)], []).delta, [[6, 0, 0]])


@pytest.mark.parametrize(
    ("link", "target", "coordinate"),
    [
        (axis_pb2.LINK_IDENTITY, 45.0, (45 - 30) / 5),
        (axis_pb2.LINK_LOGIT, 0.9, (np.log(9) - 30) / 5),
        (axis_pb2.LINK_TANH, 0.5, (np.arctanh(0.5) - 30) / 5),
    ],
)
def test_a_target_is_where_the_linear_model_predicts_it(link: int, target: float, coordinate: float) -> None:
    axis = direction("age", [1, 0, 0], link=link, intercept=30.0, slope=5.0)
    start = np.float32([[0.5, 7, 7]])
    change = solve(start, [move(axis, target, Unit.TARGET)], [])
    assert (start + change.delta)[0].tolist() == [pytest.approx(coordinate), 7, 7]
    assert axis.predict(coordinate) == pytest.approx(target)


def test_dependent_locks_count_once() -> None:
    change = solve(ORIGIN, [move(direction("z", [0, 1, 1]), 1)], [X, Y, XY])
    np.testing.assert_allclose(change.delta, [[0, 0, np.sqrt(2)]], atol=1e-12)


@pytest.mark.parametrize(
    ("moves", "locks", "message"),
    [
        ([move(direction("near", [1, 0.01, 0]), 1)], [X], r"the locks \(x\) leave 0.010 of axis 'near'"),
        ([move(X, 1), move(direction("near", [1, 0.01, 0]), 1)], [], "axes 'x', 'near' are too alike"),
        ([move(X, 45, Unit.TARGET)], [], "axis 'x' has no slope or intercept"),
        ([move(direction("p", [1, 0, 0], link=axis_pb2.LINK_LOGIT, intercept=0.0, slope=1.0), 1.0, Unit.TARGET)], [],
         "1 is not between 0 and 1"),
        ([move(direction("short", [1, 0, 0], hard_limit_steps=3.0), -3.5)], [], "would move 3.5 steps, and its limit is 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_the_axes_named(
    moves: list[Move], locks: list[Direction], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        solve(ORIGIN, moves, locks)


vectors = st.lists(
    st.lists(st.floats(-1, 1), min_size=6, max_size=6).filter(lambda v: np.linalg.norm(v) > 0.3), min_size=3, max_size=3
)


@hypothesis.given(vectors, st.lists(st.floats(-5, 5), min_size=2, max_size=2))
def test_any_edit_meets_its_constraints_by_the_shortest_way_in_any_order(
    rows: list[list[float]], amounts: list[float]
) -> None:
    first, second, lock = (direction(f"a{k}", row) for k, row in enumerate(rows))
    moves = [move(first, amounts[0]), move(second, amounts[1])]
    start = np.zeros((1, 6), dtype=np.float32)
    try:
        change = solve(start, moves, [lock])
    except InvalidRequest:
        hypothesis.assume(False)
    coordinates = [axis.coordinate(change.delta)[0] for axis in (first, second, lock)]
    np.testing.assert_allclose(coordinates, [*amounts, 0], atol=1e-8)
    turned = solve(start, moves[::-1], [lock])
    np.testing.assert_allclose(turned.delta, change.delta, atol=1e-8)
    span = np.array([first.unit, second.unit, lock.unit])
    shortest = np.linalg.lstsq(span, np.array([*amounts, 0]), rcond=None)[0]
    np.testing.assert_allclose(change.delta[0], shortest, atol=1e-6)


def test_a_row_is_changed_alike_alone_and_among_others() -> None:
    rng = np.random.default_rng(0)
    axis = direction("age", rng.standard_normal(100).tolist(), link=axis_pb2.LINK_IDENTITY, intercept=1.0, slope=2.0)
    lock = direction("lock", rng.standard_normal(100).tolist())
    start = rng.standard_normal((16, 100)).astype(np.float32)
    together = solve(start, [Move(axis, Unit.TARGET, np.full(16, 3.0), "f")], [lock])
    for row in range(16):
        alone = solve(start[row : row + 1], [Move(axis, Unit.TARGET, np.full(1, 3.0), "f")], [lock])
        np.testing.assert_array_equal(alone.delta[0], together.delta[row])
