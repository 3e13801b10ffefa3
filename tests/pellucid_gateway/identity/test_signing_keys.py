import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pellucid_gateway.identity.signing_keys import COOLDOWN_S, SigningKeys
from tests.pellucid_gateway.identity.issuer import Issuer, elliptic_jwk, write_jwks
from tests.pellucid_gateway.identity.jwks_server import JwksServer, serving
from tests.pellucid_gateway.identity.passing_time import PassingTime

FIRST, SECOND = Issuer("k1"), Issuer("k2")


@pytest.fixture
def clock() -> PassingTime:
    return PassingTime()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JwksServer]:
    authority = tmp_path / "authority.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("no_proxy", "localhost")
    with serving(authority) as running:
        running.body = json.dumps({"keys": [FIRST.jwk()]}).encode()
        yield running


async def known(keys: SigningKeys, *kids: str) -> list[str]:
    return [kid for kid in kids if await keys.find(kid)]


async def test_keys_of_a_file_are_found_by_their_ids(tmp_path: Path) -> None:
    keys = SigningKeys(str(write_jwks(tmp_path / "jwks", FIRST.jwk(), elliptic_jwk("k2"))))
    first, second = await keys.find("k1"), await keys.find("k2")
    assert first is not None
    assert second is not None
    assert (first.algorithm_name, second.algorithm_name) == ("RS256", "ES256")
    assert await keys.find("k3") is None


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "bad"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "bad", "alg": "RS256"},
        FIRST.jwk(kid="bad", alg="HS256"),
        FIRST.jwk(kid="bad", use="enc"),
        SECOND.private_jwk(kid="bad"),
        {"kty": "RSA", "kid": "bad"},
        {"kid": "bad"},
    ],
)  # fmt: skip
async def test_keys_that_are_not_public_ones_for_signatures_are_passed_over(
    tmp_path: Path, jwk: dict[str, Any]
) -> None:
    keys = SigningKeys(str(write_jwks(tmp_path / "jwks", jwk, FIRST.jwk())))
    assert await known(keys, "bad", "k1") == ["k1"]


async def test_a_key_without_an_id_is_not_taken_for_tokens_without_one(tmp_path: Path) -> None:
    keys = SigningKeys(str(write_jwks(tmp_path / "jwks", FIRST.jwk(kid=""), SECOND.jwk())))
    assert await known(keys, "", "k2") == ["k2"]


async def test_unknown_ids_make_it_look_again_once_in_an_interval(tmp_path: Path, clock: PassingTime) -> None:
    path = write_jwks(tmp_path / "jwks", FIRST.jwk())
    keys = SigningKeys(str(path), clock)
    assert await known(keys, "k1", "k2") == ["k1"]
    write_jwks(path, SECOND.jwk())
    clock.now_s += COOLDOWN_S - 1
    assert await known(keys, "k1", "k2") == ["k1"]
    clock.now_s += 1
    assert await known(keys, "k2", "k1") == ["k2"]


async def test_a_withdrawn_key_is_gone_after_a_refresh(tmp_path: Path) -> None:
    path = write_jwks(tmp_path / "jwks", FIRST.jwk())
    keys = SigningKeys(str(path))
    assert await known(keys, "k1") == ["k1"]
    write_jwks(path, SECOND.jwk())
    await keys.refresh()
    assert await known(keys, "k1", "k2") == ["k2"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "aGk", "kid": "x"}]}'])
async def test_a_file_that_has_become_bad_leaves_the_keys_and_is_logged(tmp_path: Path, text: str) -> None:
    path = write_jwks(tmp_path / "jwks", FIRST.jwk())
    keys = SigningKeys(str(path))
    assert await known(keys, "k1") == ["k1"]
    path.write_text(text)
    with capture_logs() as logs:
        await keys.refresh()
    assert await known(keys, "k1") == ["k1"]
    assert [(line["event"], line["source"]) for line in logs] == [("signing keys kept as they were", str(path))]


async def test_keys_are_read_by_https(server: JwksServer) -> None:
    assert await known(SigningKeys(server.url), "k1") == ["k1"]


async def test_a_server_with_another_authority_is_not_believed(
    server: JwksServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with capture_logs() as logs:
        assert await known(SigningKeys(server.url), "k1") == []
    assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["reason"]
    assert server.asked == 0


async def test_those_who_look_at_the_same_time_share_one_look_and_the_event_loop_stays_free(server: JwksServer) -> None:
    keys = SigningKeys(server.url)
    server.gate.clear()
    looking = [asyncio.create_task(keys.find("k1")) for _ in range(20)]
    while not server.asked:  # noqa: ASYNC110 - the server counts in another thread
        await asyncio.sleep(0.001)
    looking[0].cancel()
    # The server answers only now, which it could not be told if the look held the event loop.
    server.gate.set()
    found = await asyncio.gather(*looking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [getattr(key, "key_id", None) for key in found[1:]] == ["k1"] * 19
    assert server.asked == 1


async def test_made_up_ids_do_not_make_it_ask_the_server_again_and_again(
    server: JwksServer, clock: PassingTime
) -> None:
    keys = SigningKeys(server.url, clock)
    for number in range(50):
        assert await keys.find(f"made-up-{number}") is None
    assert server.asked == 1


async def test_a_server_that_fails_is_not_asked_again_and_again_either(server: JwksServer, clock: PassingTime) -> None:
    server.status = 500
    keys = SigningKeys(server.url, clock)
    with capture_logs() as logs:
        for _ in range(50):
            assert await keys.find("k1") is None
    assert (server.asked, len(logs)) == (1, 1)
    server.status = 200
    clock.now_s += COOLDOWN_S
    assert await known(keys, "k1") == ["k1"]


async def test_a_watch_keeps_looking(server: JwksServer) -> None:
    keys = SigningKeys(server.url)
    watch = asyncio.create_task(keys.watch(0.001))
    async with asyncio.timeout(10):
        while server.asked < 3:  # noqa: ASYNC110 - the server counts in another thread
            await asyncio.sleep(0.001)
    watch.cancel()
    assert await known(keys, "k1") == ["k1"]


@pytest.mark.parametrize("source", ["http://localhost/jwks", "file:///etc/jwks", "ftp://x/y"])
def test_keys_do_not_come_by_other_ways(source: str) -> None:
    with pytest.raises(ValueError, match="from a file or by https"):
        SigningKeys(source)
