from dataclasses import replace
from typing import Any

import pytest

from pellucid_edge.edge import Edge, Jwt, RateLimit
from pellucid_triton.errors import InvalidSettingError


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"gateways": ()}, "gateways: there is none"),
        ({"gateways": ("gateway",)}, "'gateway' is not host:port"),
        ({"address": "8080"}, "'8080' is not host:port"),
        ({"admin_address": "0.0.0.0:9901"}, "admin_address: 0.0.0.0:9901 is not on loopback"),
        ({"max_body_bytes": 2**20}, "max_body_bytes: 1048576 is below 5592405, which a message of 4194304 bytes takes"),
        ({"max_heap_bytes": 2**25}, "max_heap_bytes: 33554432 is below four bodies of 16777216"),
        ({"origins": ("app.example",)}, "origins: 'app.example' is neither"),
        ({"origins": ("https://app.example/",)}, "origins: 'https://app.example/' is neither"),
        ({"origins": ("https://*.example", "file://x")}, "origins: 'file://x' is neither"),
        ({"jwt": Jwt("https://issuer.example", (), "keys.json")}, "jwt: issuer, audience and keys are all needed"),
        ({"rate_limit": RateLimit(0)}, "rate_limit: 0 a minute is below 1"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_the_limit(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        replace(Edge(), **changes)
    assert error in str(caught.value)


def test_a_body_of_the_largest_message_in_base64_is_permitted() -> None:
    assert replace(Edge(), max_body_bytes=5592405).max_body_bytes == 5592405
