"""The methods of all services, and sequences of requests for each."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pellucid_gateway.rpc.server import SERVICES
from tests.fuzz.messages import requests, valid
from tests.fuzz.mutations import mutated
from tests.fuzz.vocabulary import Vocabulary

METHODS: tuple[MethodDescriptor, ...] = tuple(
    method for name in SERVICES for method in descriptor_pool.Default().FindServiceByName(name).methods
)
MAX_SEQUENCE = 5


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def sequences(method: MethodDescriptor, vocabulary: Vocabulary) -> SearchStrategy[list[Message]]:
    """Requests of a call: one, or any number of a stream's, of which the first is often a proper one."""
    one = requests(method.input_type, vocabulary)
    if not method.client_streaming:
        return st.lists(one, min_size=1, max_size=1)
    proper = valid(method.input_type, vocabulary)
    whole = st.sampled_from(range(len(proper))).map(lambda k: proper[k : k + 2])
    return st.one_of(
        st.lists(one, max_size=MAX_SEQUENCE),
        st.builds(lambda known, rest: known[:1] + rest, whole, st.lists(one, max_size=MAX_SEQUENCE)),
        st.builds(lambda known, rest: known + rest, whole, st.lists(one, max_size=1)),
    )


def serialized(messages: list[Message]) -> list[bytes]:
    return [message.SerializeToString() for message in messages]


@st.composite
def spoilt(draw: st.DrawFn, method: MethodDescriptor, vocabulary: Vocabulary) -> list[bytes]:
    """The bytes of a call's requests, of which one has been mutated."""
    sent = serialized(draw(sequences(method, vocabulary))) or [b""]
    place = draw(st.integers(0, len(sent) - 1))
    sent[place] = draw(mutated(st.just(sent[place])))
    return sent
