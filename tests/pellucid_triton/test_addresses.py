import socket

import pytest

from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.errors import InvalidSettingError
from tests.pellucid_triton.ipv6 import needs_ipv6


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:65535", "::1", 65535), ("gateway.local:50051", "gateway.local", 50051)],
)
def test_an_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "localhost", "localhost:", "localhost:grpc", "::1:80", "[::1]", "h:-1", "h:65536"]
)
def test_what_is_no_address_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"address: '.*' is not host:port") as refusal:
        Address.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6), "localhost"])
def test_free_ports_differ_and_wanted_ones_are_kept(host: str) -> None:
    (kept,) = choose_ports([Address(host, 0)])
    chosen = choose_ports([Address(host, 0), kept, Address(host, 0)])
    assert chosen[1] == kept
    assert len({address.port for address in chosen} - {0}) == 3
    assert {address.host for address in chosen} == {host}


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(InvalidSettingError, match=f"port {port} is in use on 127.0.0.1"):
            choose_ports([Address("127.0.0.1", port)])


def test_a_port_wanted_twice_is_refused() -> None:
    (free,) = choose_ports([Address("127.0.0.1", 0)])
    with pytest.raises(InvalidSettingError, match=f"port {free.port} is in use"):
        choose_ports([free, free])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"address: {host}:0 cannot be listened on: "):
        choose_ports([Address(host, 0)])
