import asyncio

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.internal.encoder import _VarintBytes
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.conftest import GREEDY, NORTH, OWNER, QUOTA, SOUTH, THRIFTY, Fuzz
from tests.fuzz.door import Door, Reply
from tests.fuzz.examples import examples
from tests.fuzz.methods import METHODS, sequences, serialized
from tests.fuzz.vocabulary import NORTHERN, SOUTHERN, Vocabulary, of_caller

IN_THE_NORTH, IN_THE_SOUTH = of_caller("north", NORTHERN), of_caller("south", SOUTHERN)
BY_NAME = {method.name: method for method in METHODS}
Asked = tuple[MethodDescriptor, list[bytes]]


def calls(vocabulary: Vocabulary) -> SearchStrategy[Asked]:
    return st.sampled_from(METHODS).flatmap(
        lambda method: st.tuples(st.just(method), sequences(method, vocabulary).map(serialized))
    )


def traces(of: Vocabulary, other: Vocabulary) -> list[bytes]:
    """What shows that something was told to a caller of `of` alone: their name, their models, their seeds."""
    private = [model.encode() for model in set(of.models) - set(other.models)]
    return [of.marker.encode(), *private, _VarintBytes(of.seeds[0])[1:]]


def certain(vocabulary: Vocabulary) -> list[Asked]:
    """Calls whose answers are always the same."""
    methods = [BY_NAME[name] for name in ("Generate", "Edit", "Analyze", "Translate")]
    return [
        (method, serialized([one]))
        for method in methods
        for one in examples(method.input_type)
        if one.model in vocabulary.models
    ]


NORTHERN_CALLS, SOUTHERN_CALLS = certain(IN_THE_NORTH), certain(IN_THE_SOUTH)
NORTHERN_TRACES, SOUTHERN_TRACES = traces(IN_THE_NORTH, IN_THE_SOUTH), traces(IN_THE_SOUTH, IN_THE_NORTH)


async def test_a_caller_is_told_nothing_of_another_who_asks_at_the_same_time(door: Door, fuzz: Fuzz) -> None:
    seen: set[bytes] = set()

    async def ask(both: tuple[Asked, Asked]) -> None:
        (north, south), told = both, (NORTHERN_TRACES, SOUTHERN_TRACES)
        replies = await asyncio.gather(door.ask(*north, NORTH), door.ask(*south, SOUTH))
        for reply, own, others in zip(replies, told, reversed(told), strict=True):
            assert [trace for trace in others if trace in reply.everything] == []
            seen.update(trace for trace in own if trace in reply.everything)
        await door.settle()

    await fuzz(150, st.tuples(calls(IN_THE_NORTH), calls(IN_THE_SOUTH)), ask)
    assert seen >= {b"north", b"south", NORTHERN_TRACES[-1], SOUTHERN_TRACES[-1]}


async def test_what_is_made_in_one_batch_with_another_s_is_what_is_made_alone(door: Door, fuzz: Fuzz) -> None:
    def whole(reply: Reply, method: MethodDescriptor) -> Message:
        assert reply.refusal is None
        message = message_factory.GetMessageClass(method.output_type).FromString(reply.answers[0])
        message.ClearField("timings")
        message.ClearField("request_id")
        return message

    async def ask(asked: list[Asked]) -> None:
        alone = [whole(await door.ask(*one, OWNER), one[0]) for one in asked]
        keys = [NORTH if one in NORTHERN_CALLS else SOUTH for one in asked]
        replies = await asyncio.gather(*(door.ask(*one, key) for one, key in zip(asked, keys, strict=True)))
        assert [whole(reply, one[0]) for reply, one in zip(replies, asked, strict=True)] == alone

    await fuzz(40, st.lists(st.sampled_from([*NORTHERN_CALLS, *SOUTHERN_CALLS]), min_size=2, max_size=8), ask)


async def test_a_quota_is_not_touched_by_another_caller_s_requests(door: Door, fuzz: Fuzz) -> None:
    generate = BY_NAME["Generate"]
    all_of_it = [message_factory.GetMessageClass(generate.input_type)(model="models/paint", seeds={"count": QUOTA})]

    async def waste(sent: list[bytes]) -> None:
        await door.ask(generate, sent, GREEDY)

    async def reason(key: str) -> str:
        refusal = (await door.ask(generate, serialized(all_of_it), key)).refusal
        return refusal.reason if refusal else ""

    await fuzz(60, sequences(generate, Vocabulary()).map(serialized), waste)
    assert [await reason(key) for key in (GREEDY, THRIFTY, THRIFTY)] == ["QUOTA_EXCEEDED", "", "QUOTA_EXCEEDED"]
