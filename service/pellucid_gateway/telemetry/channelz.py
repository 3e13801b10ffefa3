"""grpc.channelz: the connections, streams and messages of this process, for `grpcdebug` and the like.

It tells the addresses of all peers, so it is served apart from the public port, and on loopback only.
"""

import ipaddress

import grpc
from grpc_channelz.v1 import channelz  # type: ignore[import-untyped]


def channelz_server(address: str) -> tuple[grpc.aio.Server, int]:
    """Make a server of grpc.channelz at `address` (`host:port`, port 0 for a free one), and give its port too.

    Raises ValueError for a host that is not loopback.
    """
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"channelz_address: {address!r} is not on loopback")
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    channelz.add_channelz_servicer(server)
    return server, server.add_insecure_port(address)
