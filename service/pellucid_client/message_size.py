"""The contract's limit on the size of a message."""

from google.protobuf.message import Message

from pellucid_client.errors import InvalidRequest

MAX_BYTES = 4 * 2**20


def check_size(message: Message, field: str, instead: str) -> None:
    """Raise InvalidRequest where a message is too large to be sent; `instead` says what to do."""
    size = message.ByteSize()
    if size > MAX_BYTES:
        raise InvalidRequest.of(field, f"a message of {size} bytes is above the limit of {MAX_BYTES}; {instead}")
