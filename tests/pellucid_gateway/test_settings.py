from pathlib import Path

import pytest
from pydantic import ValidationError

from pellucid_gateway.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_reference_says_what_the_code_says(name: str) -> None:
    field = Settings.model_fields[name]
    meaning = " ".join((field.description or "").split())
    assert f"| `PELLUCID_{name.upper()}` | `{field.default}` | {meaning} |" in REFERENCE.read_text().splitlines()
    assert meaning


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_MAX_IN_FLIGHT_BATCHES", "3")
    assert Settings().max_in_flight_batches == 3


@pytest.mark.parametrize(("name", "value"), [("STREAM_WINDOW", "0"), ("DRAIN_S", "-1"), ("ENCODER_THREADS", "many")])
def test_a_wrong_value_stops_the_start_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PELLUCID_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
