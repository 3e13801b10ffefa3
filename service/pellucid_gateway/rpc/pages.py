"""Pages of lists: a token is the name of the last entry of the page before, in base64."""

import base64
import binascii
from collections.abc import Sequence

from pellucid_gateway.errors import invalid


def page(names: Sequence[str], size: int, token: str, most: int) -> tuple[list[str], str]:
    """Take at most `size` (0: `most`) of sorted names behind the token's; give them and the next page's token."""
    after = _decode(token)
    rest = [name for name in names if name > after]
    chosen = rest[: min(size or most, most)]
    following = base64.urlsafe_b64encode(chosen[-1].encode()).decode() if len(chosen) < len(rest) else ""
    return chosen, following


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise invalid("page_token", f"{token[:40]!r} is not a token of this list") from error
