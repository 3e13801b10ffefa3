"""Free TCP ports."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack


def choose_ports(host: str, wanted: Sequence[int]) -> tuple[int, ...]:
    """Return the wanted ports, with a free one of the host in place of each 0."""
    with ExitStack() as stack:
        ports = []
        # All are held until all are chosen, so that no two are the same.
        for port in wanted:
            holder = stack.enter_context(socket.socket())
            holder.bind((host, 0))
            ports.append(port or holder.getsockname()[1])
        return tuple(ports)
