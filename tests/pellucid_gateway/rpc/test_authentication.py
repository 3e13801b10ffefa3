import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import trustme
from cryptography import x509
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from structlog.testing import capture_logs

from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.quotas import Quotas
from pellucid_gateway.identity.signing_keys import SigningKeys
from pellucid_gateway.identity.tokens import TokenVerifier
from pellucid_gateway.rpc.credentials import server_credentials
from tests.pellucid_gateway.identity import certificates, roster
from tests.pellucid_gateway.identity.door import Visitor, knocking, opened
from tests.pellucid_gateway.identity.issuer import AUDIENCE, NAME, Issuer, write_jwks
from tests.pellucid_gateway.identity.passing_time import PassingTime
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

ISSUER, STRANGER = Issuer(), Issuer()
ADAS, SPARE, BOBS, OVER, ADMINS = (api_keys.create_key() for _ in range(5))
ADA = roster.caller(
    "ada",
    ADAS,
    SPARE,
    models=("digiface",),
    subjects=["ada"],
    certificates=["spiffe://pellucid/ada"],
    images_per_minute=60,
)
OVER_ENTRY = roster.key_entry(OVER, datetime.now(UTC) - timedelta(seconds=1))
BOB = {
    "name": "bob",
    "models": ["biggan"],
    "certificates": ["bob.example"],
    "keys": [roster.key_entry(BOBS), OVER_ENTRY],
}
ROOT = roster.caller("root", ADMINS, admin=True)


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    return Callers(roster.write(tmp_path / "callers.yaml", ADA, BOB, ROOT))


@pytest.fixture
def authenticator(callers: Callers, tmp_path: Path) -> Authenticator:
    keys = SigningKeys(str(write_jwks(tmp_path / "jwks", ISSUER.jwk())))
    return Authenticator(callers, TokenVerifier(NAME, AUDIENCE, keys, 30), allows_anonymous=False)


@pytest.fixture
async def visitor(authenticator: Authenticator) -> AsyncIterator[Visitor]:
    quotas = Quotas(PassingTime())
    async with opened(authenticator, quotas) as port, knocking(port) as visitor:
        yield visitor


def bearer(credential: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {credential}")


async def refused(call: object) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


def now() -> int:
    return int(time.time())


async def test_a_key_lets_its_caller_in(visitor: Visitor) -> None:
    assert await visitor.who(bearer(ADAS)) == "ada by key"
    assert await visitor.who(("x-api-key", BOBS)) == "bob by key"


async def test_a_token_lets_its_caller_in(visitor: Visitor) -> None:
    assert await visitor.who(bearer(ISSUER.token())) == "ada by token"


REFUSED: dict[str, tuple[Callable[[], list[tuple[str, str]]], str]] = {
    "no credential": (lambda: [], "no credential: send a key or token as `authorization: Bearer ...`"),
    "a malformed authorization": (lambda: [("authorization", ADAS)], "authorization must be `Bearer` and a key or token"),
    "a malformed key": (lambda: [bearer("pk_")], "the API key is not valid"),
    "a malformed token": (lambda: [bearer("a.b.c")], "the token is not valid"),
    "an unknown key": (lambda: [bearer(api_keys.create_key())], "the API key is not valid"),
    "a known id with a wrong secret": (lambda: [bearer(f"{ADAS[:-1]}x")], "the API key is not valid"),
    "an expired key": (lambda: [bearer(OVER)], "the API key has expired"),
    "an expired token": (lambda: [bearer(ISSUER.token(exp=now() - 3600))], "the token has expired"),
    "a token not yet valid": (lambda: [bearer(ISSUER.token(nbf=now() + 3600))], "the token is not valid yet"),
    "a wrong audience": (lambda: [bearer(ISSUER.token(aud="other"))], "the token is for another audience"),
    "a wrong issuer": (lambda: [bearer(ISSUER.token(iss="https://x.example"))], "the token is of another issuer"),
    "a wrong signature": (lambda: [bearer(STRANGER.token())], "the token is not valid"),
    "an unsigned token": (lambda: [bearer(ISSUER.unsigned())], "the token is not valid"),
    "HS256 with the public key": (lambda: [bearer(ISSUER.confused())], "the token is not valid"),
    "an unknown signing key": (lambda: [bearer(Issuer("k2").token())], "the token's signing key is not known"),
    "a subject that nobody has": (lambda: [bearer(ISSUER.token(sub="eve"))], "the token is nobody's that this gateway knows"),
    "two callers at once": (lambda: [bearer(ADAS), ("x-api-key", BOBS)], "the credentials belong to different callers"),
}  # fmt: skip


@pytest.mark.parametrize(("metadata", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_whoever_does_not_prove_who_they_are_is_refused(
    visitor: Visitor, metadata: Callable[[], list[tuple[str, str]]], message: str
) -> None:
    told = await refused(visitor.who(*metadata()))
    assert told == Refusal(grpc.StatusCode.UNAUTHENTICATED, message, "UNAUTHENTICATED")


async def test_a_revoked_key_is_refused_while_the_server_runs_and_the_callers_other_key_is_not(
    visitor: Visitor, callers: Callers, tmp_path: Path
) -> None:
    assert await visitor.who(bearer(ADAS)) == "ada by key"
    roster.write(tmp_path / "callers.yaml", roster.caller("ada", SPARE), BOB)
    await callers.refresh()
    told = await refused(visitor.who(bearer(ADAS)))
    assert (told.code, told.message) == (grpc.StatusCode.UNAUTHENTICATED, "the API key is not valid")
    assert await visitor.who(bearer(SPARE)) == "ada by key"


async def test_another_callers_model_is_refused(visitor: Visitor) -> None:
    assert await visitor.model("models/digiface", bearer(ADAS)) == "models/digiface"
    told = await refused(visitor.model("models/digiface", bearer(BOBS)))
    assert told == Refusal(grpc.StatusCode.PERMISSION_DENIED, "bob may not use models/digiface", "PERMISSION_DENIED")


async def test_what_is_for_administrators_is_refused_to_others(visitor: Visitor) -> None:
    await visitor.drain(bearer(ADMINS))
    told = await refused(visitor.drain(bearer(ADAS)))
    method = "/pellucid.v1.AdminService/Drain"
    message = f"{method} is for administrators, and ada is none"
    assert told == Refusal(grpc.StatusCode.PERMISSION_DENIED, message, "PERMISSION_DENIED")


async def test_who_has_used_up_a_quota_is_told_when_to_come_back(visitor: Visitor) -> None:
    assert await visitor.generate(60, bearer(ADAS)) == 60
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await visitor.generate(30, bearer(ADAS))
    told = refusal(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert told.retry_after_s == pytest.approx(30)
    failure = error_details_pb2.QuotaFailure()
    assert any(detail.Unpack(failure) for detail in rpc_status.from_call(caught.value).details)
    [violation] = failure.violations
    assert (violation.subject, violation.description) == ("ada", "ada has used up 60 images per minute")


async def test_the_same_caller_has_one_quota_whatever_they_show(visitor: Visitor) -> None:
    assert await visitor.generate(60, bearer(ADAS)) == 60
    for credential in (SPARE, ISSUER.token()):
        assert (await refused(visitor.generate(1, bearer(credential)))).reason == "QUOTA_EXCEEDED"
    assert await visitor.generate(1, bearer(BOBS)) == 1


async def test_a_call_larger_than_the_quota_is_told_that_it_never_fits(visitor: Visitor) -> None:
    told = await refused(visitor.generate(61, bearer(ADAS)))
    assert (told.code, told.reason, told.retry_after_s) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "QUOTA_TOO_SMALL",
        None,
    )
    assert "the quota of ada is 60 a minute" in told.message


async def test_no_answer_and_no_line_of_the_log_quotes_a_credential(
    visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, signed = f"{ADAS[:-1]}x", ISSUER.token(sub="eve")
    with capture_logs() as lines, caplog.at_level("DEBUG"):
        for metadata in ([bearer(wrong)], [bearer(OVER)], [bearer(signed)], [("authorization", wrong)], [bearer(ADAS), ("x-api-key", BOBS)]):  # fmt: skip
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await visitor.who(*metadata)
            told = f"{caught.value.details()} {caught.value.trailing_metadata()}"
            assert not any(secret in told for secret in (wrong, ADAS, BOBS, OVER, signed))
        assert await visitor.who(bearer(ADAS)) == "ada by key"
    logged = f"{lines} {caplog.text}"
    assert not any(secret in logged for secret in (wrong, ADAS, BOBS, OVER, signed))


class Files:
    """A server's certificate, key and clients' authority, each in a file."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.client_ca = (folder / name for name in ("tls.crt", "tls.key", "ca.crt"))

    def hold(self, authority: trustme.CA) -> None:
        leaf = authority.issue_cert("localhost")
        certificates.replace(self.certificate, certificates.chain(leaf))
        certificates.replace(self.key, leaf.private_key_pem.bytes())


OLD, NEW, CLIENTS = trustme.CA(), trustme.CA(), trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.hold(OLD)
    certificates.replace(files.client_ca, CLIENTS.cert_pem.bytes())
    return files


def trusting(
    authority: trustme.CA, key: bytes | None = None, certificate: bytes | None = None
) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, certificate)


async def whom(port: int, credentials: grpc.ChannelCredentials, *metadata: tuple[str, str]) -> str:
    async with knocking(port, credentials) as visitor:
        return await visitor.who(*metadata)


async def test_a_key_is_taken_over_tls(authenticator: Authenticator, files: Files) -> None:
    async with opened(authenticator, credentials=server_credentials(files.certificate, files.key)) as port:
        assert await whom(port, trusting(OLD), bearer(ADAS)) == "ada by key"
        assert (await refused(whom(port, trusting(OLD)))).code is grpc.StatusCode.UNAUTHENTICATED
        assert (await refused(whom(port, trusting(NEW), bearer(ADAS)))).code is grpc.StatusCode.UNAVAILABLE


async def test_a_new_certificate_is_served_without_a_restart_and_open_connections_stay(
    authenticator: Authenticator, files: Files
) -> None:
    async with opened(authenticator, credentials=server_credentials(files.certificate, files.key)) as port:
        async with knocking(port, trusting(OLD)) as early:
            assert await early.who(bearer(ADAS)) == "ada by key"
            files.hold(NEW)
            assert await whom(port, trusting(NEW), bearer(ADAS)) == "ada by key"
            assert await early.who(bearer(ADAS)) == "ada by key"
        assert (await refused(whom(port, trusting(OLD), bearer(ADAS)))).code is grpc.StatusCode.UNAVAILABLE


async def test_half_of_a_new_pair_leaves_the_old_one_until_the_other_half_is_there(
    authenticator: Authenticator, files: Files
) -> None:
    leaf = NEW.issue_cert("localhost")
    async with opened(authenticator, credentials=server_credentials(files.certificate, files.key)) as port:
        certificates.replace(files.certificate, certificates.chain(leaf))
        with capture_logs() as lines:
            assert await whom(port, trusting(OLD), bearer(ADAS)) == "ada by key"
            assert await whom(port, trusting(OLD), bearer(ADAS)) == "ada by key"
        assert [line["event"] for line in lines] == ["certificate kept as it was"]
        certificates.replace(files.key, leaf.private_key_pem.bytes())
        assert await whom(port, trusting(NEW), bearer(ADAS)) == "ada by key"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None])
async def test_a_certificate_that_is_spoilt_or_gone_leaves_the_old_one(
    authenticator: Authenticator, files: Files, content: bytes | None
) -> None:
    async with opened(authenticator, credentials=server_credentials(files.certificate, files.key)) as port:
        if content is None:
            files.certificate.unlink()
        else:
            certificates.replace(files.certificate, content)
        assert await whom(port, trusting(OLD), bearer(ADAS)) == "ada by key"


def test_files_that_do_not_fit_together_are_an_error_at_the_start(files: Files) -> None:
    stranger = NEW.issue_cert("localhost")
    certificates.replace(files.key, stranger.private_key_pem.bytes())
    with pytest.raises(ValueError, match=r"the key .*tls\.key does not belong to the certificate .*tls\.crt"):
        server_credentials(files.certificate, files.key)
    certificates.replace(files.key, b"hunter2")
    with pytest.raises(ValueError, match="is not PEM as expected") as caught:
        server_credentials(files.certificate, files.key)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("common_name", "names", "who"),
    [
        ("x", [x509.UniformResourceIdentifier("spiffe://pellucid/ada")], "ada by certificate"),
        ("x", [x509.DNSName("other.example"), x509.DNSName("bob.example")], "bob by certificate"),
        ("bob.example", [], "bob by certificate"),
    ],
    ids=["URI", "DNS name", "common name"],
)
async def test_a_client_certificate_lets_its_caller_in(
    authenticator: Authenticator, files: Files, common_name: str, names: list[x509.GeneralName], who: str
) -> None:
    key, certificate = certificates.issued(CLIENTS, common_name, *names)
    credentials = server_credentials(files.certificate, files.key, files.client_ca)
    async with opened(authenticator, credentials=credentials) as port:
        assert await whom(port, trusting(OLD, key, certificate)) == who


@pytest.mark.parametrize(
    ("common_name", "names"),
    [
        ("bob.example", [x509.DNSName("other.example")]),
        ("x", [x509.RFC822Name("bob.example@x")]),
        ("ada", []),
    ],
    ids=["a common name beside other names", "a mail address", "a caller's name"],
)
async def test_a_client_certificate_that_names_no_caller_is_nobodys(
    authenticator: Authenticator, files: Files, common_name: str, names: list[x509.GeneralName]
) -> None:
    own = certificates.issued(CLIENTS, common_name, *names)
    credentials = server_credentials(files.certificate, files.key, files.client_ca)
    async with opened(authenticator, credentials=credentials) as port:
        assert (await refused(whom(port, trusting(OLD, *own)))).code is grpc.StatusCode.UNAUTHENTICATED
        assert await whom(port, trusting(OLD, *own), bearer(BOBS)) == "bob by key"


async def test_a_client_without_a_certificate_of_the_authority_does_not_get_through_the_handshake(
    authenticator: Authenticator, files: Files
) -> None:
    stranger = certificates.issued(NEW, "x", x509.UniformResourceIdentifier("spiffe://pellucid/ada"))
    credentials = server_credentials(files.certificate, files.key, files.client_ca)
    async with opened(authenticator, credentials=credentials) as port:
        for own in ((), stranger):
            assert (await refused(whom(port, trusting(OLD, *own), bearer(ADAS)))).code is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_and_a_key_of_different_callers_are_refused(
    authenticator: Authenticator, files: Files
) -> None:
    own = certificates.issued(CLIENTS, "x", x509.DNSName("bob.example"))
    credentials = server_credentials(files.certificate, files.key, files.client_ca)
    async with opened(authenticator, credentials=credentials) as port:
        told = await refused(whom(port, trusting(OLD, *own), bearer(ADAS)))
    assert (told.code, told.message) == (grpc.StatusCode.UNAUTHENTICATED, "the credentials belong to different callers")


async def test_a_new_authority_of_clients_holds_without_a_restart(authenticator: Authenticator, files: Files) -> None:
    fresh = certificates.issued(NEW, "x", x509.DNSName("bob.example"))
    stale = certificates.issued(CLIENTS, "x", x509.DNSName("bob.example"))
    credentials = server_credentials(files.certificate, files.key, files.client_ca)
    async with opened(authenticator, credentials=credentials) as port:
        assert await whom(port, trusting(OLD, *stale)) == "bob by certificate"
        certificates.replace(files.client_ca, NEW.cert_pem.bytes())
        assert await whom(port, trusting(OLD, *fresh)) == "bob by certificate"
        assert (await refused(whom(port, trusting(OLD, *stale)))).code is grpc.StatusCode.UNAVAILABLE


async def test_without_an_authority_of_clients_their_certificates_are_not_looked_at(
    authenticator: Authenticator, files: Files
) -> None:
    own = certificates.issued(CLIENTS, "x", x509.DNSName("bob.example"))
    async with opened(authenticator, credentials=server_credentials(files.certificate, files.key)) as port:
        assert (await refused(whom(port, trusting(OLD, *own)))).code is grpc.StatusCode.UNAUTHENTICATED
