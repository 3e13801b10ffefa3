import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from pellucid_gateway.identity.caller import Caller, Kind
from pellucid_gateway.telemetry import logs
from pellucid_gateway.telemetry.calls import Call, current
from tests.pellucid_gateway.telemetry.samples import value

GENERATE = "/pellucid.v1.GenerationService/Generate"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was, and no call that is current."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    token = current.set(None)
    root.handlers = []
    yield
    current.reset(token)
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def logger() -> Any:
    return structlog.get_logger()


def test_an_event_is_one_line_of_json_that_names_its_call() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream)
    Call(GENERATE, "id-7", (), Caller("studio", Kind.KEY), "models/paint")
    logger().info("looked", count=3)
    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "looked",
        "level": "info",
        "count": 3,
        "request_id": "id-7",
        "method": GENERATE,
        "caller": "studio",
        "caller_kind": "key",
        "model": "models/paint",
    }


def test_a_call_that_ends_well_is_told_of_at_debug_and_any_other_at_info() -> None:
    # The only test here that ends calls: the logger that tells of them keeps its first configuration.
    stream = io.StringIO()
    logs.configure("DEBUG", stream)
    Call(GENERATE, "good").end("OK")
    Call(GENERATE, "bad", model="models/paint").end("NOT_FOUND", "no model 'models/paint'")
    good, bad = lines(stream)
    assert (good["level"], good["request_id"], good["code"]) == ("debug", "good", "OK")
    assert (bad["level"], bad["request_id"], bad["code"], bad["model"]) == ("info", "bad", "NOT_FOUND", "models/paint")
    assert bad["reason"] == "no model 'models/paint'"
    assert good["duration_ms"] >= 0


def test_what_callers_choose_cannot_forge_lines_nor_fill_the_log() -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.configure("INFO", stream)
        logger().info("seen", reason='x\n{"event": "forged"}\r\x1b[2J\u2028\u202e', long="y" * 5000)
        told = stream.getvalue()
        assert len(told.splitlines()) == 1
        assert "\x1b[2J" not in told
        assert r"\u000a" in told
        assert f"{'y' * logs.MAX_TEXT}... (5000 characters)" in told
        assert "y" * (logs.MAX_TEXT + 1) not in told


def test_neither_secrets_nor_tensors_nor_images_are_written() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream)
    logger().info(
        "seen",
        api_key="s3same",
        source="https://name:s3same@host/keys",
        latent=np.full(8, 0.125),
        image=b"\xff\xd8s3same",
        names=["a", "b"],
    )
    [line] = lines(stream)
    assert "s3same" not in stream.getvalue()
    assert (line["api_key"], line["latent"], line["image"], line["names"]) == (
        "(hidden)",
        "<ndarray>",
        "<bytes>",
        ["a", "b"],
    )


def test_an_unforeseen_error_brings_its_traceback_without_the_values_of_variables() -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.configure("INFO", stream)
        local = "s3same"
        try:
            raise ValueError(f"{len(local)} letters")
        except ValueError as error:
            logger().error("unforeseen error", exc_info=error)
        assert "ValueError: 6 letters" in stream.getvalue()
        assert "s3same" not in stream.getvalue().replace('local = "s3same"', "")


def test_a_long_traceback_keeps_its_end() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream)
    try:
        raise ValueError("z" * 50_000 + " at last")
    except ValueError as error:
        logger().error("unforeseen error", exc_info=error)
    assert len(lines(stream)[0]["exception"]) == logs.MAX_TRACEBACK
    assert lines(stream)[0]["exception"].endswith(" at last")


def test_warnings_of_other_libraries_come_in_the_same_form_and_their_chatter_does_not() -> None:
    stream = io.StringIO()
    logs.configure("DEBUG", stream)
    logging.getLogger("somebody.else").warning("disk is %d%% full", 97)
    logging.getLogger("somebody.else").info("hello")
    [line] = lines(stream)
    assert (line["event"], line["level"]) == ("disk is 97% full", "warning")


def test_a_full_disk_costs_lines_that_are_counted_and_nothing_else() -> None:
    before = value("pellucid_log_lines_lost_total")
    with Path("/dev/full").open("w", buffering=1) as full:
        logs.configure("INFO", full)
        logger().info("seen")
        logging.getLogger("somebody.else").warning("seen")
        assert value("pellucid_log_lines_lost_total") == before + 2
        with pytest.raises(OSError, match="No space left"):
            full.close()
