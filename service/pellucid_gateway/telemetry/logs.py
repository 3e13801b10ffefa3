"""The log: a line of JSON an event, on a terminal text in colours; each names the call that it belongs to.

What callers choose is shortened and its control characters are escaped; secrets, tensors and images are left out. A
line that cannot be written (a full disk) is counted and given up: no call fails for it.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import Processor

from pellucid_gateway.telemetry import metrics
from pellucid_gateway.telemetry.calls import current
from pellucid_gateway.telemetry.secrecy import HIDDEN, is_secret, without_credentials

MAX_TEXT = 500
MAX_TRACEBACK = 10_000
MAX_ITEMS = 20

_STRUCTLOGS = frozenset({"exc_info", "stack_info", "_record", "_from_structlog"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e]")
"""Control characters, and those that end a line or turn the direction of text."""

Event = MutableMapping[str, Any]


def configure(level: str, stream: TextIO) -> None:
    """Log to a stream from `level` on (DEBUG, INFO, WARNING or ERROR), and what other libraries warn of too."""
    number, lines = logging.getLevelNamesMapping()[level], _Lines(stream)
    naming: list[Processor] = [
        _with_call,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        _tamed,
    ]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[*naming, *_rendering(stream)],
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, lines)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    form = structlog.stdlib.ProcessorFormatter
    rendering = [form.remove_processors_meta, *_rendering(stream)]
    handler.setFormatter(form(foreign_pre_chain=naming, processors=rendering))
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, number), force=True)


class _Lines:
    """A stream that gives up what it cannot write."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            metrics.log_line_lost()

    def flush(self) -> None:
        pass


def _rendering(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        # NOTE: not structlog's own choice, which shows the values of local variables where rich is installed.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, _with_short_traceback, structlog.processors.JSONRenderer()]


def _with_call(logger: Any, method: str, event: Event) -> Event:
    """Add what is known of the current call to an event that does not tell of a call itself."""
    call = current.get()
    return event if call is None or "request_id" in event else {**call.facts, **event}


def _tamed(logger: Any, method: str, event: Event) -> Event:
    """Leave out secrets and what is large, and make the rest fit for one line."""
    for name in event.keys() - _STRUCTLOGS:
        event[name] = HIDDEN if is_secret(name) and isinstance(event[name], str) else _plain(event[name])
    return event


def _with_short_traceback(logger: Any, method: str, event: Event) -> Event:
    if "exception" in event:
        event["exception"] = event["exception"][-MAX_TRACEBACK:]
    return event


def _plain(value: Any) -> Any:
    """Give text, a number, or a few of these; of anything else its type alone, for it may hold an image."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value[:MAX_ITEMS]]
    return f"<{type(value).__name__}>"


def _text(value: str) -> str:
    if len(value) > MAX_TEXT:
        value = f"{value[:MAX_TEXT]}... ({len(value)} characters)"
    value = without_credentials(value)
    return value if value.isprintable() else _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
