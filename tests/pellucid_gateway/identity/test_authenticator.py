import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.caller import Kind
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.signing_keys import SigningKeys
from pellucid_gateway.identity.tokens import TokenVerifier
from tests.pellucid_gateway.identity import roster
from tests.pellucid_gateway.identity.issuer import AUDIENCE, NAME, Issuer, write_jwks
from tests.pellucid_gateway.identity.passing_time import PassingTime

ISSUER = Issuer()
ADAS, BOBS = api_keys.create_key(), api_keys.create_key()


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    ada = roster.caller("ada", ADAS, subjects=["ada"], certificates=["ada.example"])
    return Callers(
        roster.write(tmp_path / "callers.yaml", ada, roster.caller("bob", BOBS, certificates=["bob.example"]))
    )


@pytest.fixture
def tokens(tmp_path: Path) -> TokenVerifier:
    return TokenVerifier(NAME, AUDIENCE, SigningKeys(str(write_jwks(tmp_path / "jwks", ISSUER.jwk()))), 30)


@pytest.fixture
def authenticator(callers: Callers, tokens: TokenVerifier) -> Authenticator:
    return Authenticator(callers, tokens, allows_anonymous=False)


def bearer(credential: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {credential}")


@pytest.mark.parametrize(
    "metadata",
    [
        [bearer(ADAS)],
        [("authorization", f"bearer  {ADAS} ")],
        [("x-api-key", ADAS)],
        [("x-api-key", ADAS.encode())],
        [("user-agent", "x"), ("x-api-key", ADAS), bearer(ADAS)],
    ],
)
async def test_a_key_is_taken_as_bearer_or_as_x_api_key(
    authenticator: Authenticator, metadata: list[tuple[str, str | bytes]]
) -> None:
    found = await authenticator.identify(metadata, [])
    assert (found.name, found.kind) == ("ada", Kind.KEY)


async def test_a_token_is_taken_as_bearer(authenticator: Authenticator) -> None:
    found = await authenticator.identify([bearer(ISSUER.token())], [])
    assert (found.name, found.kind) == ("ada", Kind.TOKEN)


async def test_a_certificate_is_enough(authenticator: Authenticator) -> None:
    found = await authenticator.identify([], ["other.example", "bob.example"])
    assert (found.name, found.kind) == ("bob", Kind.CERTIFICATE)


async def test_credentials_that_agree_are_taken_together(authenticator: Authenticator) -> None:
    metadata = [bearer(ISSUER.token()), ("x-api-key", ADAS)]
    assert (await authenticator.identify(metadata, ["ada.example"])).name == "ada"


async def test_the_certificate_of_an_edge_in_between_is_nobodys(authenticator: Authenticator) -> None:
    assert (await authenticator.identify([bearer(BOBS)], ["edge.example"])).name == "bob"
    with pytest.raises(Unauthenticated, match="no credential"):
        await authenticator.identify([], ["edge.example"])


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        ([bearer(ADAS), ("x-api-key", BOBS)], []),
        ([bearer(ADAS), bearer(BOBS)], []),
        # Made when the tests are collected, and used long after.
        ([bearer(ISSUER.token(exp=2**33)), ("x-api-key", BOBS)], []),
        ([bearer(ADAS)], ["bob.example"]),
        ([], ["ada.example", "bob.example"]),
    ],
)
async def test_credentials_of_different_callers_are_refused(
    authenticator: Authenticator, metadata: list[tuple[str, str]], names: list[str]
) -> None:
    with pytest.raises(Unauthenticated, match="different callers"):
        await authenticator.identify(metadata, names)


async def test_a_bad_credential_is_not_made_good_by_another(authenticator: Authenticator) -> None:
    for metadata in ([bearer(ADAS), ("x-api-key", f"{ADAS}0")], [("x-api-key", f"{ADAS}0")]):
        with pytest.raises(Unauthenticated, match="API key is not valid"):
            await authenticator.identify(metadata, ["ada.example"])


@pytest.mark.parametrize("value", [ADAS, "", "Bearer", f"Basic {ADAS}", f"Bearer\t{ADAS}", f"Token {ADAS}"])
async def test_authorization_of_another_form_is_refused(authenticator: Authenticator, value: str) -> None:
    with pytest.raises(Unauthenticated, match="must be `Bearer`") as caught:
        await authenticator.identify([("authorization", value)], [])
    assert ADAS not in str(caught.value)


async def test_a_key_ends_by_the_wall_clock(tmp_path: Path) -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    caller = {"name": "a", "models": [], "keys": [roster.key_entry(ADAS, ends)]}
    clock = PassingTime(ends.timestamp() - 1)
    authenticator = Authenticator(Callers(roster.write(tmp_path / "c.yaml", caller)), None, False, clock)
    assert (await authenticator.identify([bearer(ADAS)], [])).name == "a"
    clock.now_s += 1
    with pytest.raises(Unauthenticated, match="has expired"):
        await authenticator.identify([bearer(ADAS)], [])


async def test_by_default_the_clock_is_the_machines(tmp_path: Path) -> None:
    over = {"name": "a", "models": [], "keys": [roster.key_entry(ADAS, datetime.fromtimestamp(time.time() - 60, UTC))]}
    authenticator = Authenticator(Callers(roster.write(tmp_path / "c.yaml", over)), None, False)
    with pytest.raises(Unauthenticated, match="has expired"):
        await authenticator.identify([bearer(ADAS)], [])


async def test_tokens_are_refused_where_no_issuer_is_configured(callers: Callers) -> None:
    with pytest.raises(Unauthenticated, match="no API key"):
        await Authenticator(callers, None, False).identify([bearer(ISSUER.token())], [])


async def test_who_shows_nothing_is_anonymous_only_where_that_is_allowed(callers: Callers) -> None:
    assert (await Authenticator(callers, None, True).identify([], [])).kind is Kind.ANONYMOUS
    with pytest.raises(Unauthenticated, match="no credential"):
        await Authenticator(callers, None, False).identify([], [])


async def test_who_shows_something_bad_does_not_pass_as_anonymous(callers: Callers) -> None:
    with pytest.raises(Unauthenticated, match="not valid"):
        await Authenticator(callers, None, True).identify([bearer("pk_x_y")], [])


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "x-api-key", "other"]),
            st.text()
            | st.binary()
            | st.builds("Bearer {}".format, st.text())
            | st.builds("pk_{}_{}".format, st.text(), st.text()),
        ),
        max_size=4,
    ),
    st.lists(st.text(), max_size=2),
)
async def test_whatever_is_made_up_is_refused(
    authenticator: Authenticator, metadata: list[tuple[str, str | bytes]], names: list[str]
) -> None:
    with pytest.raises(Unauthenticated):
        await authenticator.identify(metadata, names)
