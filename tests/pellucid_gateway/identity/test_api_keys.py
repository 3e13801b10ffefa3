import hashlib
import re

from pellucid_gateway.identity import api_keys


def test_a_key_holds_its_id_and_256_bits_of_secret() -> None:
    key = api_keys.create_key()
    assert re.fullmatch("pk_[0-9a-f]{12}_[0-9a-f]{64}", key)
    assert api_keys.key_id(key) == key[3:15]


def test_no_two_keys_are_alike() -> None:
    keys = {api_keys.create_key() for _ in range(100)}
    assert len(keys) == len({api_keys.key_id(key) for key in keys}) == 100


def test_the_digest_is_that_of_the_whole_key() -> None:
    key = "pk_abcd_secret"
    assert api_keys.digest(key) == hashlib.sha256(b"pk_abcd_secret").digest()
