"""The contract's own rules (protovalidate), checked before a request is looked at."""

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from pellucid_gateway import errors

_validator = Validator()
_SHOWN = 80


def check(request: Message) -> None:
    """Raise InvalidRequest with the path, the value and the rule of each field that breaks one."""
    violations = _validator.collect_violations(request)
    if violations:
        raise errors.InvalidRequest([errors.Violation(_path(v), _describe(v)) for v in violations])


def _path(violation: Violation) -> str:
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        subscript = element.subscript
        path += f".{element.field_name}" if path else element.field_name
        path += f"[{subscript.value}]" if subscript else ""
    return path


def _describe(violation: Violation) -> str:
    value = violation.field_value
    if value is None or isinstance(value, list | dict | Message) or not isinstance(value, str | int | float | bool):
        return violation.proto.message
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"{violation.proto.message}, and it is {shown}"
