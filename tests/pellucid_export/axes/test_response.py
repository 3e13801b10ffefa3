import pytest

from pellucid_export.axes import response

pytestmark = pytest.mark.torch

NO_ERROR = dict.fromkeys((-2.0, -1.0, -0.5, 0.5, 1.0, 2.0), 0.0)


def proportional(**changed: float) -> dict[float, float]:
    means = {step: 3 * step for step in NO_ERROR}
    return means | {float(step.replace("minus", "-").replace("plus", "")): value for step, value in changed.items()}


def test_a_proportional_response_is_linear_as_far_as_it_was_measured() -> None:
    assert response.linear_range(proportional(), NO_ERROR, 3) == 2


@pytest.mark.parametrize("changed", [{"plus2": 4.7}, {"minus2": -4.7}, {"plus2": 7.3}])
def test_a_departure_of_more_than_a_fifth_either_way_ends_the_range(changed: dict[str, float]) -> None:
    assert response.linear_range(proportional(**changed), NO_ERROR, 3) == 1


def test_a_departure_within_two_standard_errors_does_not_end_it() -> None:
    assert response.linear_range(proportional(plus2=4.7), NO_ERROR | {2.0: 0.1}, 3) == 2


def test_a_response_that_is_never_linear_has_the_smallest_range_measured() -> None:
    assert response.linear_range(dict.fromkeys(NO_ERROR, 1.0), NO_ERROR, 3) == 0.5
