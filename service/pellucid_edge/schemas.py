"""Messages as JSON schemas, by protobuf's JSON mapping and the contract's own rules."""

from collections.abc import Mapping
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from buf.validate import validate_pb2

Json = dict[str, Any]

_INT32 = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32 = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}
# JSON's numbers end at 2^53: 64 bits are written as strings.
_INT64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UINT64 = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_FLOAT = 3.4e38
_SCALARS: dict[int, Json] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float", "minimum": -_FLOAT, "maximum": _FLOAT},
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_UINT64: _UINT64,
}
_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Any": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
_KEYWORDS = {
    "gte": "minimum",
    "gt": "exclusiveMinimum",
    "lte": "maximum",
    "lt": "exclusiveMaximum",
    "in": "enum",
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}
"""Rules of buf.validate as keywords of JSON Schema."""
_OF_STRINGS = {"minLength", "maxLength", "pattern", "minItems", "maxItems", "minProperties", "maxProperties"}


class Schemas:
    """Collects the schemas of messages and enums, as they are asked for, under their names without the package."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self.named: dict[str, Json] = {}

    def message(self, message: Descriptor, without: frozenset[str] = frozenset()) -> Json:
        """Return a reference to a message's schema, which lacks the fields `without`."""
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        name = _name(message)
        if name not in self.named:
            # Known from now on: messages contain themselves.
            self.named[name] = {}
            self.named[name].update(self._object(message, without))
        return {"$ref": f"#/components/schemas/{name}"}

    def field(self, field: FieldDescriptor) -> Json:
        """Return a field's schema with its description."""
        return self.describe(field.full_name) | self._shape(field)

    def describe(self, name: str) -> Json:
        """Return the description of what has this full name, where there is one."""
        return {"description": self._comments[name]} if name in self._comments else {}

    def _object(self, message: Descriptor, without: frozenset[str]) -> Json:
        fields = [field for field in message.fields if field.name not in without]
        schema = self.describe(message.full_name) | {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
        }
        required = [field.json_name for field in fields if is_required(field)]
        choices = [
            {"oneOf": [{"type": "object", "required": [field.json_name]} for field in oneof.fields]}
            for oneof in message.oneofs
            if oneof.GetOptions().Extensions[validate_pb2.oneof].required
        ]
        return schema | ({"required": required} if required else {}) | ({"allOf": choices} if choices else {})

    def _shape(self, field: FieldDescriptor) -> Json:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            values = self._single(entry.fields_by_name["value"], rules.map.values)
            keys = {"propertyNames": self._single(entry.fields_by_name["key"], rules.map.keys)}
            return {"type": "object", **keys, "additionalProperties": values} | _keywords(rules.map)
        if field.is_repeated:
            return {"type": "array", "items": self._single(field, rules.repeated.items)} | _keywords(rules.repeated)
        return self._single(field, rules)

    def _single(self, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Json:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        schema = dict(_SCALARS[field.type])
        kind = rules.WhichOneof("type")
        limits = _keywords(getattr(rules, kind)) if kind else {}
        if schema["type"] == "string":
            limits = {keyword: limit for keyword, limit in limits.items() if keyword in _OF_STRINGS}
        return schema | limits

    def _enum(self, enum: EnumDescriptor) -> Json:
        meanings = [(value.name, self._comments.get(f"{enum.full_name}.{value.name}")) for value in enum.values]
        described = [self._comments.get(enum.full_name, ""), *(f"- `{n}`: {text}" for n, text in meanings if text)]
        self.named[_name(enum)] = {
            "description": "\n".join(described),
            "type": "string",
            "enum": [value.name for value in enum.values],
        }
        return {"$ref": f"#/components/schemas/{_name(enum)}"}


def _name(of: Descriptor | EnumDescriptor) -> str:
    return of.full_name.removeprefix(f"{of.file.package}.")


def is_required(field: FieldDescriptor) -> bool:
    """Whether the contract asks for a field, or for something in it."""
    options = field.GetOptions()
    behaviours = options.Extensions[field_behavior_pb2.field_behavior]
    rules = options.Extensions[validate_pb2.field]
    # Of these, what is not sent is the same as what is empty.
    is_never_empty = max(rules.repeated.min_items, rules.bytes.min_len, rules.string.min_len) > 0
    return field_behavior_pb2.REQUIRED in behaviours or rules.required or (is_never_empty and not field.has_presence)


def _keywords(rules: Any) -> Json:
    given = {field.name: value for field, value in rules.ListFields()}
    return {
        keyword: list(given[rule]) if rule == "in" else given[rule]
        for rule, keyword in _KEYWORDS.items()
        if rule in given
    }
