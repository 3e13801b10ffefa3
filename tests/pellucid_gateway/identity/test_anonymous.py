import pytest

from pellucid_gateway.identity.anonymous import takes_anonymous

LOOPBACK = ["127.0.0.1:50051", "127.8.8.8:1", "[::1]:50051", "localhost:0", "unix:/run/pellucid.sock"]
REACHABLE = ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051", "gateway.example:50051", ":50051", "127.0.0.1.example:1"]


@pytest.mark.parametrize("address", LOOPBACK)
def test_on_loopback_with_nothing_configured_everyone_is_served(address: str) -> None:
    assert takes_anonymous(address, is_configured=False, is_switched_on=False)


@pytest.mark.parametrize("address", LOOPBACK)
def test_on_loopback_with_callers_configured_only_they_are(address: str) -> None:
    assert not takes_anonymous(address, is_configured=True, is_switched_on=False)


@pytest.mark.parametrize("address", REACHABLE)
def test_elsewhere_a_gateway_that_knows_nobody_does_not_start(address: str) -> None:
    with pytest.raises(ValueError, match="can be reached from other machines"):
        takes_anonymous(address, is_configured=False, is_switched_on=False)


@pytest.mark.parametrize("address", [*LOOPBACK, *REACHABLE])
@pytest.mark.parametrize("is_configured", [True, False])
def test_switched_on_everyone_is_served_anywhere(address: str, is_configured: bool) -> None:
    assert takes_anonymous(address, is_configured, is_switched_on=True)


@pytest.mark.parametrize("address", REACHABLE)
def test_elsewhere_only_callers_that_are_configured_are_served(address: str) -> None:
    assert not takes_anonymous(address, is_configured=True, is_switched_on=False)
