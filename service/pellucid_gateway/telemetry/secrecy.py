"""What may be shown of a value whose name tells that it is a secret."""

import re
from functools import lru_cache

HIDDEN = "(hidden)"

_SECRET = re.compile("key|secret|token|password|credential|authorization|cookie", re.IGNORECASE)
_PLACE = re.compile("_(file|path|dir|url|address)$", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(?<=\?)\S+")


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value of this name must not be shown; where a secret lies may be."""
    return bool(_SECRET.search(name)) and not _PLACE.search(name)


def without_credentials(text: str) -> str:
    """Give text without what URLs in it hold of names, passwords and signatures."""
    return _QUERY.sub(HIDDEN, _USER_INFO.sub(f"{HIDDEN}@", text)) if "://" in text else text


def shown(name: str, value: object) -> object:
    """Give what may be shown of a value of this name."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return HIDDEN if is_secret(name) else without_credentials(str(value))
