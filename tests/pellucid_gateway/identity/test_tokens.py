import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity.signing_keys import SigningKeys
from pellucid_gateway.identity.tokens import TokenVerifier
from tests.pellucid_gateway.identity.issuer import AUDIENCE, NAME, Issuer, write_jwks

ISSUER, STRANGER = Issuer(), Issuer()
LEEWAY_S = 30


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    return write_jwks(tmp_path / "jwks", ISSUER.jwk())


@pytest.fixture
def verifier(jwks: Path) -> TokenVerifier:
    return TokenVerifier(NAME, AUDIENCE, SigningKeys(str(jwks)), LEEWAY_S)


async def test_a_good_token_gives_its_claims(verifier: TokenVerifier) -> None:
    claims = await verifier.claims(ISSUER.token(team="research"))
    assert (claims["sub"], claims["team"]) == ("ada", "research")


@pytest.mark.parametrize("changes", [{"nbf": None}, {"aud": ["other", AUDIENCE]}])
async def test_what_may_differ_may_differ(verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    assert (await verifier.claims(ISSUER.token(**changes)))["sub"] == "ada"


def now() -> int:
    return int(time.time())


CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"exp": now() - 3600}, "the token has expired"),
    ({"nbf": now() + 3600}, "the token is not valid yet"),
    ({"iat": now() + 3600}, "the token is not valid yet"),
    ({"aud": "other"}, "the token is for another audience"),
    ({"aud": ["other"]}, "the token is for another audience"),
    ({"aud": [AUDIENCE, 1]}, "the token is for another audience"),
    ({"iss": "https://other.example"}, "the token is of another issuer"),
    ({"iss": f"{NAME}/"}, "the token is of another issuer"),
    ({"exp": None}, "the token is not valid"),
    ({"aud": None}, "the token is not valid"),
    ({"iss": None}, "the token is not valid"),
    ({"sub": None}, "the token is not valid"),
    ({"sub": 7}, "the token is not valid"),
    ({"exp": "soon"}, "the token is not valid"),
    ({"exp": float("inf")}, "the token is not valid"),
    ({"nbf": [1]}, "the token is not valid"),
]


@pytest.mark.parametrize(("changes", "reason"), CLAIMS, ids=lambda value: str(value) if isinstance(value, dict) else "")
async def test_a_token_with_a_wrong_claim_is_refused(
    verifier: TokenVerifier, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unauthenticated, match=f"^{reason}$"):
        await verifier.claims(ISSUER.token(**changes))


async def test_clocks_may_differ_by_the_leeway_and_no_more(verifier: TokenVerifier) -> None:
    for changes in ({"exp": now() - LEEWAY_S + 10}, {"nbf": now() + LEEWAY_S - 10}):
        assert await verifier.claims(ISSUER.token(**changes))
    for changes in ({"exp": now() - LEEWAY_S - 1}, {"nbf": now() + LEEWAY_S + 10}):
        with pytest.raises(Unauthenticated):
            await verifier.claims(ISSUER.token(**changes))


def grafted() -> str:
    header, _, signature = ISSUER.token().split(".")
    return f"{header}.{ISSUER.token(sub='admin').split('.')[1]}.{signature}"


FORGERIES = {
    "signed by a stranger under the known key's id": STRANGER.token,
    "another's payload under a good signature": grafted,
    "unsigned": ISSUER.unsigned,
    "signed by HMAC with the public key as the secret": ISSUER.confused,
    "no signature": lambda: ISSUER.token().rpartition(".")[0] + ".",
    "another algorithm of the same family": lambda: jwt.encode(ISSUER.claims(), ISSUER.key, "RS512", {"kid": "k1"}),
    "an unknown critical header": lambda: jwt.encode(
        ISSUER.claims(), ISSUER.key, "RS256", {"kid": "k1", "crit": ["x"], "x": 1}
    ),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_token_is_refused(verifier: TokenVerifier, forge: Any) -> None:
    with pytest.raises(Unauthenticated, match=r"^the token is not valid$"):
        await verifier.claims(forge())


@pytest.mark.parametrize("headers", [{"kid": "k2"}, {"kid": ""}, {}])
async def test_a_token_whose_key_is_not_known_is_refused(verifier: TokenVerifier, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated, match=r"^the token's signing key is not known$"):
        await verifier.claims(jwt.encode(ISSUER.claims(), ISSUER.key, "RS256", headers))


async def test_a_key_that_the_token_brings_with_it_is_not_used(verifier: TokenVerifier) -> None:
    brought = {"kid": "k2", "jwk": STRANGER.jwk(kid="k2"), "jku": "https://stranger.example/jwks"}
    with pytest.raises(Unauthenticated, match="not known"):
        await verifier.claims(jwt.encode(STRANGER.claims(), STRANGER.key, "RS256", brought))


async def test_a_symmetric_key_among_the_issuers_is_not_used(verifier: TokenVerifier, jwks: Path) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    write_jwks(jwks, ISSUER.jwk(), jwt.algorithms.HMACAlgorithm.to_jwk(secret, as_dict=True) | {"kid": "shared"})
    with pytest.raises(Unauthenticated, match="not known"):
        await verifier.claims(jwt.encode(ISSUER.claims(), secret, "HS256", {"kid": "shared"}))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "e30.e30.e30", "eyJhbGciOiJSUzI1NiJ9..", "\N{SNOWMAN}.a.b", "a" * 8000]
)
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.claims(token)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), put=st.text(max_size=3))
async def test_a_token_with_any_part_changed_is_refused_and_nothing_else_happens(
    verifier: TokenVerifier, at: int, put: str
) -> None:
    token = ISSUER.token()
    at %= len(token)
    changed = token[:at] + put + token[at + 1 :]
    try:
        claims = await verifier.claims(changed)
    except Unauthenticated:
        return
    # Base64 leaves bits of its last letter unused: another letter may stand for the same bytes.
    assert claims == jwt.decode(token, ISSUER.key.public_key(), ["RS256"], audience=AUDIENCE)


async def test_no_refusal_quotes_the_token(verifier: TokenVerifier) -> None:
    for token in (
        "hunter2",
        "hunter2.hunter2.hunter2",
        ISSUER.token(sub=7),
        jwt.encode({}, ISSUER.key, "RS256", {"kid": "hunter2"}),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await verifier.claims(token)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
