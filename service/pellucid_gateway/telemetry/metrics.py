"""What the gateway counts, for Prometheus: base units in the names, label values from small known sets.

The core calls one function where something happens; a function takes a few microseconds. Callers never choose a label's
value: what they call a model is `unknown` unless the catalog has it, and methods are those of the contract.

Where PROMETHEUS_MULTIPROC_DIR is set when a process starts, values live in files of that directory, and each process
can tell those of all (`registry`).
"""

import os
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from google.protobuf import descriptor_pool
from google.rpc import code_pb2
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.context_managers import Timer
from prometheus_client.multiprocess import MultiProcessCollector

from pellucid.v1 import image_pb2, model_pb2
from pellucid_gateway.errors import ShedReason

Metric = TypeVar("Metric", Counter, Gauge, Histogram)
Message = TypeVar("Message")

UNKNOWN = "unknown"
_CODES = frozenset(code_pb2.Code.keys())

_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CODEC_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

_VALUES = ("counter", "histogram", "gauge_livemax", "gauge_livemin", "gauge_livesum")
_RESERVED_BYTES = 2**20
"""What prometheus_client maps of each file at first."""


def _reserve(directory: Path) -> None:
    """Take the room of this process's values on the disk now: a write through a memory map kills where there is none.

    Raises OSError where the disk is full already.
    """
    for values in _VALUES:
        with (directory / f"{values}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)


if "PROMETHEUS_MULTIPROC_DIR" in os.environ and hasattr(os, "posix_fallocate"):
    _reserve(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))

_BUILD = Gauge("pellucid_build_info", "1, with the version that runs", ["version"], multiprocess_mode="livemax")
_STARTED = Counter("pellucid_calls_started_total", "Calls that came", ["method"])
_HANDLED = Counter("pellucid_calls_handled_total", "Calls that ended", ["method", "code", "caller"])
_DURATION = Histogram(
    "pellucid_call_duration_seconds", "From a call's arrival to its end", ["method", "code"], buckets=_CALL_BUCKETS
)
_IMAGES = Counter("pellucid_images_made_total", "Images made, or labelled", ["model", "method"])
_RECEIVED = Counter("pellucid_received_bytes_total", "Bytes of the messages that came", ["method"])
_SENT = Counter("pellucid_sent_bytes_total", "Bytes of the messages that went", ["method"])
_SHED = Counter("pellucid_shed_total", "Calls refused for want of room or time", ["reason", "caller"])
_IN_FLIGHT = {
    "calls": Gauge("pellucid_in_flight_calls", "Calls that are open", multiprocess_mode="livesum"),
    "images": Gauge("pellucid_in_flight_images", "Images that are under way", multiprocess_mode="livesum"),
    "bytes": Gauge("pellucid_in_flight_bytes", "Bytes that requests hold", multiprocess_mode="livesum"),
}
_QUEUE = Histogram("pellucid_queue_seconds", "Wait of a piece of work for its batch", ["model"], buckets=_STAGE_BUCKETS)
_ROWS = Histogram("pellucid_batch_rows", "Rows of the batches sent to Triton", ["model"], buckets=_ROW_BUCKETS)
_INFERENCE = Histogram(
    "pellucid_inference_seconds", "From sending a batch to Triton to its answer", ["model"], buckets=_STAGE_BUCKETS
)
_ENCODE = Histogram("pellucid_encode_seconds", "Encoding of one image", ["format"], buckets=_CODEC_BUCKETS)
_DECODE = Histogram("pellucid_decode_seconds", "Decoding of one image", buckets=_CODEC_BUCKETS)
_MODELS = Gauge("pellucid_models", "Models of the catalog", ["state"], multiprocess_mode="livemax")
_REPLICAS = Gauge("pellucid_triton_replicas", "Tritons that are known", multiprocess_mode="livemax")
_HEALTHY = Gauge(
    "pellucid_triton_replicas_healthy",
    "Tritons that are asked, as the process sees it that sees fewest",
    multiprocess_mode="livemin",
)
_RETRIES = Counter("pellucid_triton_retries_total", "Batches that were sent to a further Triton")
_STYLES = Counter("pellucid_style_cache_lookups_total", "Styles looked up in the cache", ["result"])
_LOST_LINES = Counter("pellucid_log_lines_lost_total", "Log lines that could not be written")

_models: dict[str, str] = {}
"""Label values by the names that the catalog knows: `models/{model}`, and Triton's names of the stages."""


def build(version: str) -> None:
    """Tell which version runs."""
    _at(_BUILD, version).set(1)


def call_started(method: str) -> None:
    """Count a call of a gRPC method (`/package.Service/Method`)."""
    _at(_STARTED, method_label(method)).inc()


def call_handled(method: str, code: str, caller: str, seconds: float) -> None:
    """Count how a call ended: its status code's name, the caller's kind, and how long it took."""
    label = method_label(method)
    code = code if code in _CODES else "UNKNOWN"
    _at(_HANDLED, label, code, caller).inc()
    _at(_DURATION, label, code).observe(seconds)


def handled() -> list[tuple[str, str, str, int]]:
    """List method, code, caller and number of the calls that this process handled."""
    [family] = _HANDLED.collect()
    samples = [(sample.labels, int(sample.value)) for sample in family.samples if sample.name.endswith("_total")]
    return sorted((labels["method"], labels["code"], labels["caller"], count) for labels, count in samples)


def images_made(model: str, method: str, count: int) -> None:
    """Count images that were made, or labelled, for a call."""
    _at(_IMAGES, model_label(model), method_label(method)).inc(count)


def receiving(method: str, deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Message]:
    """Give a deserializer that counts what it takes."""
    counter = _at(_RECEIVED, method_label(method))

    def counted(data: bytes) -> Message:
        counter.inc(len(data))
        return deserialize(data)

    return counted


def sending(method: str, serialize: Callable[[Message], bytes]) -> Callable[[Message], bytes]:
    """Give a serializer that counts what it gives."""
    counter = _at(_SENT, method_label(method))

    def counted(message: Message) -> bytes:
        data = serialize(message)
        counter.inc(len(data))
        return data

    return counted


def shed(reason: ShedReason, caller: str) -> None:
    """Count a call that was refused for want of something, by the caller's kind; `backend` is Triton's full queue."""
    _at(_SHED, reason, caller).inc()


def in_flight(what: str, amount: int) -> None:
    """Tell how many `calls`, `images` or `bytes` are in flight."""
    _IN_FLIGHT[what].set(amount)


def batch(model: str, rows: int, queue_ns: Iterable[int], inference_ns: int) -> None:
    """Count a batch that was answered: its rows, the wait of each piece of work in it, and its time at Triton."""
    label = model_label(model)
    _at(_ROWS, label).observe(rows)
    _at(_INFERENCE, label).observe(inference_ns / 1e9)
    queue = _at(_QUEUE, label)
    for waited_ns in queue_ns:
        queue.observe(waited_ns / 1e9)


def encoding(image_format: "image_pb2.ImageFormat.ValueType") -> Timer:
    """Time the encoding of one image, as a context manager."""
    timer: Timer = _at(_ENCODE, _format_label(image_format)).time()
    return timer


def decoding() -> Timer:
    """Time the decoding of one image, as a context manager."""
    return _DECODE.time()


def catalog(cards: Iterable[model_pb2.Model]) -> None:
    """Count the catalog's models by state; these and their stages are the models that labels name from now on."""
    states, known = Tally({"available": 0, "unavailable": 0}), {}
    for card in cards:
        known[card.name] = card.name.removeprefix("models/")
        known |= {stage.model: stage.model for stage in card.stages}
        states["available" if card.state == model_pb2.STATE_AVAILABLE else "unavailable"] += 1
    for state, count in states.items():
        _at(_MODELS, state).set(count)
    _models.clear()
    _models.update(known)


def replicas(healthy: int, known: int) -> None:
    """Tell how many Tritons are known, and how many of them are asked."""
    _HEALTHY.set(healthy)
    _REPLICAS.set(known)


def retried() -> None:
    """Count a batch that is sent to a further Triton."""
    _RETRIES.inc()


def styles_looked_up(hits: int, misses: int) -> None:
    """Count styles that were found in the cache, and those that had to be mapped."""
    _at(_STYLES, "hit").inc(hits)
    _at(_STYLES, "miss").inc(misses)


def log_line_lost() -> None:
    """Count a log line that could not be written."""
    _LOST_LINES.inc()


def model_label(model: str) -> str:
    """Give the label of a model (`models/{model}`, or Triton's name of a stage)."""
    return _models.get(model, UNKNOWN)


@lru_cache(maxsize=256)
def method_label(method: str) -> str:
    """Give the label of a gRPC method: `Service/Method` where it is of our contract."""
    package, _, name = method.removeprefix("/").rpartition(".")
    try:
        descriptor_pool.Default().FindMethodByName(f"{package}.{name.replace('/', '.')}")
    except KeyError:
        return UNKNOWN
    return name if package == "pellucid.v1" else UNKNOWN


def registry() -> CollectorRegistry:
    """Give what is to be told: this process's metrics, or those of all processes that share a directory."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    merged = CollectorRegistry()
    MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
    return merged


@lru_cache(maxsize=4096)
def _at(metric: Metric, *labels: str) -> Metric:
    """Give a metric's child: looking it up in the metric itself takes a lock and a tuple of new strings."""
    return metric.labels(*labels)


@lru_cache
def _format_label(image_format: "image_pb2.ImageFormat.ValueType") -> str:
    return image_pb2.ImageFormat.Name(image_format).removeprefix("IMAGE_FORMAT_").lower()
