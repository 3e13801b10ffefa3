"""What the .proto files say about each thing, by its full name."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2

_NESTED = {
    descriptor_pb2.FileDescriptorProto: {4: "message_type", 5: "enum_type", 6: "service"},
    descriptor_pb2.DescriptorProto: {2: "field", 3: "nested_type", 4: "enum_type"},
    descriptor_pb2.EnumDescriptorProto: {2: "value"},
    descriptor_pb2.ServiceDescriptorProto: {2: "method"},
}
"""Fields of descriptors that hold named things, by number, as paths of source locations name them."""


def comments(image: bytes) -> dict[str, str]:
    """Return the comments in a FileDescriptorSet that was made with source info."""
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(image).file:
        names = dict(_names(file, file.package, ()))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                found[name] = _paragraphs(location.leading_comments)
    return found


def _names(holder: Any, name: str, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], str]]:
    for number, field in _NESTED.get(type(holder), {}).items():
        for index, member in enumerate(getattr(holder, field)):
            here = (*path, number, index)
            yield here, f"{name}.{member.name}"
            yield from _names(member, f"{name}.{member.name}", here)


def _paragraphs(comment: str) -> str:
    """Join the lines of each paragraph, and leave out what is said to the linter."""
    lines = [line.strip() for line in comment.strip().splitlines() if not line.strip().startswith("buf:lint:")]
    return "\n\n".join(block.strip().replace("\n", " ") for block in "\n".join(lines).split("\n\n"))
