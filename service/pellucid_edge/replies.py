"""What Envoy says where it answers itself: google.rpc.Status in JSON, as the gateway's refusals come through it."""

from typing import Any

from pellucid_edge.edge import Edge

Json = dict[str, Any]

_REFUSALS = {
    400: (3, "INVALID_REQUEST"),
    401: (16, "UNAUTHENTICATED"),
    404: (5, "NOT_FOUND"),
    408: (4, "DEADLINE_EXCEEDED"),
    413: (8, "TOO_LARGE"),
    429: (8, "QUOTA_EXCEEDED"),
    503: (14, "GATEWAY_UNREACHABLE"),
    504: (4, "DEADLINE_EXCEEDED"),
}
"""HTTP statuses that Envoy answers with of its own, as google.rpc.Code and ErrorInfo's reason."""
_AS_IT_IS = "%LOCAL_REPLY_BODY%"
# gRPC has trailers for it. What was JSON when it came is known by the path that the transcoder keeps.
_NOT_GRPC = {
    "name": "content-type",
    "string_match": {"prefix": "application/grpc"},
    "invert_match": True,
    "treat_missing_header_as_empty": True,
}
_IS_JSON = {
    "or_filter": {
        "filters": [
            {"header_filter": {"header": _NOT_GRPC}},
            {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}},
        ]
    }
}


def local_replies(edge: Edge) -> Json:
    """Return how Envoy words its own refusals."""
    limit = edge.rate_limit
    messages = {
        413: f"the body is larger than {edge.max_body_bytes} bytes",
        429: f"more than {limit.requests_per_minute} requests a minute from this caller" if limit else _AS_IT_IS,
    }
    replies = [_reply(http, code, reason, messages.get(http, _AS_IT_IS)) for http, (code, reason) in _REFUSALS.items()]
    # A token for another audience, which Envoy calls forbidden, is as good as none.
    mistaken = _reply(403, *_REFUSALS[401], _AS_IT_IS) | {"status_code": 401}
    return {"mappers": [*replies, mistaken, {"filter": _has_status(403), "status_code": 401}]}


def _reply(http: int, code: int, reason: str, message: str) -> Json:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "pellucid.dev"}
    return {
        "filter": {"and_filter": {"filters": [_IS_JSON, _has_status(http)]}},
        "body_format_override": {"json_format": {"code": code, "message": message, "details": [detail]}},
    }


def _has_status(http: int) -> Json:
    value = {"default_value": http, "runtime_key": f"edge.reply.{http}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
