import pytest

from pellucid_gateway.backends.retry_budget import RetryBudget


def spent(budget: RetryBudget) -> int:
    count = 0
    while budget.spend():
        count += 1
    return count


def test_what_is_saved_can_be_spent_at_once_and_then_only_what_requests_earn() -> None:
    budget = RetryBudget(share=0.25, per_s=0, most=10)
    assert spent(budget) == 10
    for _ in range(12):
        budget.earn()
    assert spent(budget) == 3


def test_no_more_is_saved_than_the_most() -> None:
    budget = RetryBudget(share=0.5, per_s=0, most=4)
    for _ in range(1000):
        budget.earn()
    assert spent(budget) == 4


@pytest.mark.parametrize(("per_s", "left"), [(1e9, True), (0, False)])
def test_time_earns_too(per_s: float, left: bool) -> None:
    budget = RetryBudget(share=0, per_s=per_s, most=1)
    assert budget.spend()
    assert budget.spend() == left
