"""Whether who shows nothing is served."""

from ipaddress import ip_address


def takes_anonymous(address: str, is_configured: bool, is_switched_on: bool) -> bool:
    """Decide for a gateway at `address` (`host:port`): where it is switched on, or on loopback with nothing configured.

    Raises ValueError where nobody could be served at all.
    """
    if is_configured or is_switched_on:
        return is_switched_on
    if not _is_loopback(address):
        raise ValueError(
            f"{address} can be reached from other machines, and no caller is known: "
            "name a callers file, or switch anonymous callers on"
        )
    return True


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
