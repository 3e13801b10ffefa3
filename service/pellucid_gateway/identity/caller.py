"""Who calls."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Kind(StrEnum):
    """How a caller proved who they are; few enough to be a label of metrics."""

    ANONYMOUS = "anonymous"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a word for metrics
    CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Caller:
    """A caller and what they may do.

    `models` are patterns of names without `models/` (`*`, `digiface`, `stylegan-*`). `images_per_minute` and
    `bytes_per_minute` are quotas, None for none.
    """

    name: str
    kind: Kind
    models: tuple[str, ...] = ("*",)
    is_admin: bool = False
    images_per_minute: float | None = None
    bytes_per_minute: float | None = None

    def may_use(self, model: str) -> bool:
        """Whether this caller may see and use a model (`models/{model}`)."""
        return any(fnmatchcase(model.removeprefix("models/"), pattern) for pattern in self.models)


ANONYMOUS = Caller("anonymous", Kind.ANONYMOUS)
"""Whoever calls where nothing is asked of them."""

NOBODY = Caller("nobody", Kind.ANONYMOUS, models=())
"""Whoever calls without a word of who they are, where that is asked."""

current: ContextVar[Caller] = ContextVar("caller", default=ANONYMOUS)
"""The caller of the request that is being served."""
