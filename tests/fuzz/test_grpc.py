import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.fuzz.conftest import OWNER, Fuzz
from tests.fuzz.door import Door
from tests.fuzz.examples import examples
from tests.fuzz.methods import METHODS, sequences, serialized, spoilt
from tests.fuzz.vocabulary import Vocabulary

EACH = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
UNARY = [method for method in METHODS if not method.client_streaming]


@pytest.mark.parametrize("method", UNARY, ids=lambda method: method.name)
async def test_what_is_taken_for_valid_is_answered(door: Door, method: MethodDescriptor) -> None:
    for one in examples(method.input_type):
        reply = await door.ask(method, serialized([one]), OWNER)
        assert (reply.refusal, bool(reply.answers)) == (None, True), one


@EACH
async def test_any_requests_are_answered_or_refused_with_a_reason(
    door: Door, fuzz: Fuzz, method: MethodDescriptor
) -> None:
    async def ask(sent: list[bytes]) -> None:
        await door.ask(method, sent, OWNER)
        await door.settle()

    await fuzz(60, sequences(method, Vocabulary()).map(serialized), ask)


@EACH
async def test_any_bytes_are_answered_or_refused_with_a_reason(
    door: Door, fuzz: Fuzz, method: MethodDescriptor
) -> None:
    async def ask(sent: list[bytes]) -> None:
        await door.ask(method, sent, OWNER)
        await door.settle()

    await fuzz(30, spoilt(method, Vocabulary()), ask)
