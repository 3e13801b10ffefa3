"""A receiver of OTLP/HTTP, as small as can be: it keeps the spans that are sent to it."""

import base64
import gzip
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

IDS = {"traceId", "spanId", "parentSpanId"}


@dataclass(frozen=True)
class Received:
    service: str
    span: Span

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def attributes(self) -> dict[str, str | int]:
        return {one.key: one.value.string_value or one.value.int_value for one in self.span.attributes}


class Collector:
    def __init__(self) -> None:
        received: list[Received] = []
        changed = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                with changed:
                    received.extend(_spans(_read(data, self.headers["Content-Type"])))
                    changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._received, self._changed = received, changed
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, *names: str) -> dict[str, Received]:
        """Wait until spans of these names have come, and give the first of each."""
        return {name: self.all_named(name, 1)[0] for name in names}

    def all_named(self, name: str, count: int) -> list[Received]:
        """Wait until so many spans of a name have come, and give all of them."""
        end = time.monotonic() + 30
        with self._changed:
            while len(found := [one for one in self._received if one.span.name == name]) < count:
                told = sorted({one.span.name for one in self._received})
                assert self._changed.wait(end - time.monotonic()), f"{count} times {name!r} did not come; {told} did"
        return found


def _read(data: bytes, kind: str) -> ExportTraceServiceRequest:
    if kind == "application/json":
        return json_format.ParseDict(json.loads(data, object_hook=_with_ids), ExportTraceServiceRequest())
    return ExportTraceServiceRequest.FromString(data)


def _with_ids(read: dict[str, Any]) -> dict[str, Any]:
    """OTLP's JSON has ids in hexadecimal digits, where protobuf's has Base64."""
    ids = {name: base64.b64encode(bytes.fromhex(read[name])) for name in read.keys() & IDS}
    return read | {name: value.decode() for name, value in ids.items()}


def _spans(request: ExportTraceServiceRequest) -> list[Received]:
    found = []
    for resource in request.resource_spans:
        named = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [Received(named.get("service.name", ""), span) for span in scope.spans]
    return found
