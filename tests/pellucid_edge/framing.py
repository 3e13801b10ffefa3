"""gRPC-Web by hand, as a browser's client sends and reads it."""

import base64
import struct
from typing import NamedTuple

from google.protobuf.message import Message

TRAILERS = 0x80


class Frame(NamedTuple):
    flags: int
    data: bytes


def frame(message: Message) -> bytes:
    data = message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def frames(body: bytes) -> list[Frame]:
    found = []
    while body:
        flags, size = struct.unpack_from(">BI", body)
        found.append(Frame(flags, body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def trailers(last: Frame) -> dict[str, str]:
    assert last.flags == TRAILERS
    return dict(line.split(":", 1) for line in last.data.decode().splitlines())


def plain(text: bytes) -> bytes:
    """Decode what is several pieces of Base64 in a row, each with its own padding."""
    return b"".join(base64.b64decode(text[start : start + 4]) for start in range(0, len(text), 4))
