import pytest
from pydantic import SecretStr

from pellucid_gateway.telemetry.secrecy import HIDDEN, shown


@pytest.mark.parametrize(
    "name", ["api_key", "ADMIN_TOKEN", "jwt_secret", "password", "authorization", "session_cookie"]
)
def test_text_that_its_name_tells_to_be_a_secret_is_hidden(name: str) -> None:
    assert shown(name, "s3same") == HIDDEN
    assert shown(name, SecretStr("s3same")) == HIDDEN
    assert shown(name, ["s3same"]) == HIDDEN


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("s3://name:s3same@bucket/models", f"s3://{HIDDEN}@bucket/models"),
        ("https://keys.example/jwks?sig=s3same&x=1", f"https://keys.example/jwks?{HIDDEN}"),
        ("model_repository", "model_repository"),
        (30.0, 30.0),
        (None, None),
    ],
)
def test_what_a_url_holds_of_a_secret_is_hidden_and_the_rest_is_shown(value: object, told: object) -> None:
    assert shown("model_repository", value) == told


def test_where_a_secret_lies_and_how_long_it_holds_is_none() -> None:
    assert shown("api_keys_file", "/etc/pellucid/keys.json") == "/etc/pellucid/keys.json"
    assert shown("token_leeway_s", 5) == 5
