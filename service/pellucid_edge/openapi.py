"""The OpenAPI document of the JSON interface, from the contract's google.api.http annotations.

    python proto/generate.py image build/contract.binpb
    python -m pellucid_edge.openapi build/contract.binpb service/pellucid_edge/openapi.json

The structure is that of the installed stubs; the image, made with source info, adds the comments.
"""

import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, resource_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.rpc import error_details_pb2

from buf.validate import validate_pb2
from pellucid_edge.comments import comments
from pellucid_edge.contract import SERVICES, files
from pellucid_edge.schemas import Schemas, is_required

Json = dict[str, Any]

_INTRODUCTION = """\
Pellucid's gRPC contract as HTTP with JSON. Numbers of 64 bits are strings, bytes are Base64, and fields at their
defaults are left out. Errors are google.rpc.Status.

Headers that any call may carry: `authorization`; `grpc-timeout`, the time the caller has (`5S`, `300m` for
milliseconds); `x-request-id`, which comes back; `traceparent`."""
_STREAM = "Messages as they are made, each a JSON object in a line of its own."
_HTTP_BODY = "google.api.HttpBody"
_IMAGES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_ERRORS = {
    "400": "INVALID_ARGUMENT: BadRequest names fields. FAILED_PRECONDITION: the model cannot do what is asked.",
    "401": "UNAUTHENTICATED: it is not said who calls, or not believed.",
    "403": "PERMISSION_DENIED: not for this caller.",
    "404": "NOT_FOUND: no such model, version, axis or path.",
    "413": "RESOURCE_EXHAUSTED: the body is larger than the edge takes.",
    "429": "RESOURCE_EXHAUSTED: too much at once; RetryInfo says when to come back.",
    "500": "INTERNAL: a fault of the service.",
    "503": "UNAVAILABLE: the service cannot be reached now; RetryInfo says when to come back.",
    "504": "DEADLINE_EXCEEDED: there was no answer in time.",
}
_DETAILS = ("ErrorInfo", "BadRequest", "QuotaFailure", "RetryInfo")


def document(image: bytes) -> Json:
    """Return the document; `image` is a FileDescriptorSet of the .proto files with source info."""
    schemas = Schemas(comments(image))
    paths: dict[str, Json] = {}
    for service in SERVICES:
        for method in service.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            if verb := rule.WhichOneof("pattern"):
                path = _Path(getattr(rule, verb), method.input_type)
                paths.setdefault(path.text, {})[verb] = _operation(method, path, rule.body == "*", schemas)
    schemas.named["Status"] = _status(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pellucid",
            "version": "v1",
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": service.name} | schemas.describe(service.full_name) for service in SERVICES],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.named.items())),
            "responses": {f"Error{status}": _error(meaning) for status, meaning in _ERRORS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Path:
    """A path of google.api.http, `/v1/{name=models/*}`, by its resource's own pattern: `/v1/models/{model}`."""

    def __init__(self, template: str, request: Descriptor) -> None:
        self.bound: frozenset[str] = frozenset(re.findall(r"{(\w+)=", template))
        self.parameters: dict[str, Json] = {}
        self._request = request
        self.text = re.sub(r"{(\w+)=[^}]+}", self._resource, template)

    def _resource(self, variable: re.Match[str]) -> str:
        options = self._request.fields_by_name[variable[1]].GetOptions()
        pattern = _resources()[options.Extensions[resource_pb2.resource_reference].type]
        rule = options.Extensions[validate_pb2.field].string.pattern.strip("^$")
        for segment, limit in zip(pattern.split("/"), rule.split("/"), strict=True):
            if segment.startswith("{"):
                self.parameters[segment.strip("{}")] = {"type": "string", "pattern": f"^{limit}$"}
        return pattern


@cache
def _resources() -> dict[str, str]:
    """Return the patterns of the contract's resources by their types."""
    messages = (message for file in files() for message in file.message_types_by_name.values())
    resources = (message.GetOptions().Extensions[resource_pb2.resource] for message in messages)
    return {resource.type: resource.pattern[0] for resource in resources if resource.pattern}


def _operation(method: MethodDescriptor, path: _Path, has_body: bool, schemas: Schemas) -> Json:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": schema} for name, schema in path.parameters.items()
    ]
    in_query = [] if has_body else list(_query(method.input_type, path.bound, schemas))
    operation = {
        "operationId": method.name,
        "tags": [method.containing_service.name],
        **schemas.describe(method.full_name),
        "parameters": in_path + in_query,
        "responses": {
            "200": _answer(method, schemas),
            **{status: {"$ref": f"#/components/responses/Error{status}"} for status in _ERRORS},
        },
    }
    if has_body:
        schema = schemas.message(method.input_type, path.bound)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _query(message: Descriptor, bound: frozenset[str], schemas: Schemas, prefix: str = "") -> Iterator[Json]:
    """Give a parameter for each field that a URL can carry; those of messages are named with dots."""
    for field in message.fields:
        name = f"{prefix}{field.json_name}"
        if field.message_type is None and field.name not in bound:
            schema = schemas.field(field)
            description = {"description": schema.pop("description")} if "description" in schema else {}
            yield {"name": name, "in": "query", **description, "required": is_required(field), "schema": schema}
        elif field.message_type is not None and not field.is_repeated:
            yield from _query(field.message_type, frozenset(), schemas, f"{name}.")


def _answer(method: MethodDescriptor, schemas: Schemas) -> Json:
    if method.output_type.full_name == _HTTP_BODY:
        return {"description": "The image, in the format asked for.", "content": {kind: {} for kind in _IMAGES}}
    schema = schemas.message(method.output_type)
    if method.server_streaming:
        # OpenAPI 3.1 cannot say that a body is a sequence of such values.
        return {"description": _STREAM, "content": {"application/json": {"x-line-schema": schema}}}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _error(meaning: str) -> Json:
    schema = {"$ref": "#/components/schemas/Status"}
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


def _status(schemas: Schemas) -> Json:
    details = []
    for name in _DETAILS:
        message = error_details_pb2.DESCRIPTOR.message_types_by_name[name]
        kind = {"type": "string", "const": f"type.googleapis.com/{message.full_name}"}
        tagged = {"type": "object", "required": ["@type"], "properties": {"@type": kind}}
        details.append({"allOf": [tagged, schemas.message(message)]})
    return {
        "description": "google.rpc.Status: why there is no answer.",
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "integer", "description": "google.rpc.Code."},
            "message": {"type": "string"},
            "details": {"type": "array", "items": {"anyOf": details}},
        },
    }


def main() -> None:
    """Write the document of the image that the command line names first to the file that it names second."""
    match sys.argv[1:]:
        case [image, target]:
            made = json.dumps(document(Path(image).read_bytes()), indent=1, ensure_ascii=False)
            Path(target).write_text(f"{made}\n")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
