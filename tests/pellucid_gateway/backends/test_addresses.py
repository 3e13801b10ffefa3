"""Names are resolved by a real name server on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pellucid_gateway.backends.addresses import Addresses
from pellucid_gateway.backends.pool import Pool
from tests.pellucid_gateway.backends.replicas import Replica, paint

NAME = "triton.test."


class NameServer(asyncio.DatagramProtocol):
    """Answers for `triton.test` what `records` holds by type; without any, that there is no such name."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        kind = query.question[0].rdtype.name
        if not self.records:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif kind in self.records:
            answer.answer.append(dns.rrset.from_text(NAME, 0, "IN", kind, *self.records[kind]))
        self.transport.sendto(answer.to_wire(), client)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, ("127.0.0.1", 0), family=socket.AF_INET)
    yield server
    transport.close()


async def test_addresses_are_taken_as_they_are_each_once() -> None:
    addresses = Addresses("a:8001, [::1]:8001,a:8001")
    assert not addresses.may_change
    assert await addresses.resolve() == ["a:8001", "[::1]:8001"]


async def test_a_name_stands_for_all_its_addresses_of_both_kinds(name_server: NameServer) -> None:
    name_server.records = {"A": ["10.0.0.2", "10.0.0.1"], "AAAA": ["fd00::1"]}
    addresses = Addresses(f"z:8001,dns://127.0.0.1:{name_server.port}/triton.test:8001")
    assert addresses.may_change
    assert await addresses.resolve() == ["z:8001", "10.0.0.1:8001", "10.0.0.2:8001", "[fd00::1]:8001"]


async def test_a_name_that_does_not_resolve_any_more_keeps_its_addresses(name_server: NameServer) -> None:
    name_server.records = {"A": ["10.0.0.1"]}
    addresses = Addresses(f"dns://127.0.0.1:{name_server.port}/triton.test:8001")
    await addresses.resolve()
    name_server.records = {}
    assert await addresses.resolve() == ["10.0.0.1:8001"]


@pytest.mark.parametrize("text", ["", "a", "a:", ":8001", "a:b", "a:8001,", "dns:///a", "dns:///:8001", "a:99999"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither host:port nor dns:///name:port|is no address"):
        Addresses(text)


async def test_replicas_come_and_go_with_the_records_of_their_name(name_server: NameServer) -> None:
    made: dict[str, Replica] = {}
    pool = Pool(
        f"dns://127.0.0.1:{name_server.port}/triton.test:1",
        lambda address: made.setdefault(address, Replica()),
        resolve_interval_s=0,
    )
    name_server.records = {"A": ["10.0.0.1", "10.0.0.2"]}
    await pool.served()
    first = made["10.0.0.1:1"]
    first.held["paint"] = asyncio.Event()
    under_way = asyncio.create_task(pool.infer(paint(1)))
    await asyncio.sleep(0)
    name_server.records = {"A": ["10.0.0.2", "10.0.0.3"]}
    await pool.check()
    assert [facts.address for facts in pool.replicas()] == ["10.0.0.2:1", "10.0.0.3:1"]
    for _ in range(4):
        await pool.infer(paint(1))
    assert [len(replica.batches) for replica in made.values()] == [1, 2, 2]
    assert not first.closed
    first.held["paint"].set()
    await under_way
    await asyncio.sleep(0)
    assert first.closed
    await pool.close()
    assert all(replica.closed for replica in made.values())
