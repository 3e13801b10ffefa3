"""Envoy dies while gRPC and JSON come in through it."""

import httpx
import pytest

from tests.faults.conftest import Broken, Counted, Loading
from tests.faults.json_load import JsonLoad
from tests.faults.load import Load

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


async def test_envoy_killed(
    broken: Broken, loading: Loading, counted: Counted[Load], expected: list[bytes], enough: int
) -> None:
    edge = broken.stack.facts["edge"]
    before = broken.envoy()
    async with (
        httpx.AsyncClient(base_url=f"http://{edge}", trust_env=False) as http,
        loading(edge) as load,
        counted(JsonLoad(http, expected, gap_s=0.2)) as json_load,
    ):
        for running in (load, json_load):
            await running.answers(enough)
        before.kill()
        for running in (load, json_load):
            await running.until(lambda: bool(running.tally.refused))  # noqa: B023 - called in this turn
            await running.answers(enough)
        assert load.tally.refused.keys() == json_load.tally.refused.keys() == {"UNAVAILABLE"}
    assert broken.envoy().pid != before.pid
