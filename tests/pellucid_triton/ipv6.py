"""A mark for tests of IPv6, which many containers lack."""

from pathlib import Path

import pytest

_ADDRESSES = Path("/proc/net/if_inet6")

needs_ipv6 = pytest.mark.skipif(
    not _ADDRESSES.is_file() or f"{1:032x}" not in _ADDRESSES.read_text().split(), reason="needs the address ::1"
)
