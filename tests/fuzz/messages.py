"""Requests of any kind, built from their descriptors: many nearly valid, some hostile."""

import math
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.fuzz.examples import examples
from tests.fuzz.mutations import mutated
from tests.fuzz.pictures import PICTURES
from tests.fuzz.vocabulary import WORDS, Vocabulary

MAX_DEPTH = 4
MODEL_FIELDS = {"model", "name", "parent"}
HOSTILE_TEXT = ("", "\0", "\n", "models/", "models/..", "models/paint/axes/red", "\u202e\U0001f600" * 150, "é" * 2000,
                "x" * 100_000, "%s%n", "'; --", "../../etc/passwd", "NaN", "1e999", "-1", "models/no-such")  # fmt: skip
FLOATS = (0.0, 0.5, 1.0, -1.0, 2.0, 3.5, -0.0, 5e-324, 1e38, 1e308, math.inf, -math.inf, math.nan)
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, 2, 4, 8, 64, 65, 16384, 2**31 - 1, -1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, 2, 8, 64, 2**31, 2**40, 2**63 - 1, -1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2, 8, 64, 1_000_000, 2**32 - 1),
}


def requests(kind: Descriptor, vocabulary: Vocabulary) -> SearchStrategy[Message]:
    """Requests of a kind: valid, valid with parts added, or built from nothing."""
    built, proper = messages(kind, vocabulary), valid(kind, vocabulary)
    if not proper:
        return built
    known = st.sampled_from(proper)
    return st.one_of(known, st.builds(_merged, known, messages(kind, vocabulary, most=2)), built)


def valid(kind: Descriptor, vocabulary: Vocabulary) -> list[Message]:
    """The examples of a kind that speak of a caller's own models."""
    own = [one for one in examples(kind) if _model(one) in ("", *vocabulary.models)]
    for one in own:
        if "seeds" in kind.fields_by_name and one.HasField("seeds"):
            one.seeds.first = vocabulary.seeds[0]
    return own


@st.composite
def messages(draw: DrawFn, kind: Descriptor, vocabulary: Vocabulary, depth: int = MAX_DEPTH, most: int = 6) -> Message:
    """A message with up to `most` of its fields set, at random."""
    message = message_factory.GetMessageClass(kind)()
    fields = [one for one in kind.fields if depth or one.message_type is None]
    if fields:
        for one in draw(st.lists(st.sampled_from(fields), max_size=most, unique_by=lambda one: one.name)):
            _fill(draw, message, one, vocabulary, depth)
    return message


def _fill(draw: DrawFn, message: Message, field: FieldDescriptor, vocabulary: Vocabulary, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _fill_map(draw, getattr(message, field.name), field.message_type, vocabulary)
    elif field.is_repeated and field.message_type is not None:
        for one in draw(st.lists(messages(field.message_type, vocabulary, depth - 1), max_size=3)):
            getattr(message, field.name).add().CopyFrom(one)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(_lists(field, vocabulary)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(messages(field.message_type, vocabulary, depth - 1)))
    else:
        setattr(message, field.name, draw(_values(field, vocabulary)))


def _fill_map(draw: DrawFn, filled: Any, entry: Descriptor, vocabulary: Vocabulary) -> None:
    key, value = (_values(entry.fields_by_name[name], vocabulary) for name in ("key", "value"))
    for name, one in draw(st.dictionaries(key, value, max_size=3)).items():
        filled[name] = one


def _lists(field: FieldDescriptor, vocabulary: Vocabulary) -> SearchStrategy[list[Any]]:
    one = _values(field, vocabulary)
    # Latents, conditions and noises have lengths that models ask for; and lists may be far too long.
    lengths = st.sampled_from((2, 3, 4, 6, 100_000)) if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else st.just(2)
    repeated = st.builds(lambda value, length: [value] * length, one, lengths)
    return st.one_of(st.lists(one, max_size=4), repeated)


def _values(field: FieldDescriptor, vocabulary: Vocabulary) -> SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            return st.sampled_from([*field.enum_type.values_by_number, 99, -1, 2**31 - 1])
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return st.one_of(st.sampled_from(FLOATS), st.floats())
        case FieldDescriptor.CPPTYPE_FLOAT:
            return st.one_of(st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf]), st.floats(width=32))
        case FieldDescriptor.CPPTYPE_UINT64:
            return st.sampled_from(vocabulary.seeds)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            return _texts(field.name, vocabulary)
        case FieldDescriptor.CPPTYPE_STRING:
            pictures = st.sampled_from(PICTURES)
            return st.one_of(pictures, mutated(pictures), st.binary(max_size=64))
        case integer:
            return st.sampled_from(INTEGERS[integer])


def _texts(name: str, vocabulary: Vocabulary) -> SearchStrategy[str]:
    hostile = st.one_of(st.sampled_from(HOSTILE_TEXT), st.text(max_size=20))
    if name == "request_id":
        return st.builds(lambda number: f"{vocabulary.marker}-{number}", st.integers(0, 999))
    if name in MODEL_FIELDS:
        names = st.sampled_from([*vocabulary.models, *(f"{model}/axes/red" for model in vocabulary.models)])
        return st.one_of(names, names, names, hostile)
    return st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), hostile)


def _merged(valid: Message, more: Message) -> Message:
    merged = type(valid)()
    merged.CopyFrom(valid)
    merged.MergeFrom(more)
    return merged


def _model(request: Any) -> str:
    """The model that a request names, "" where it names none or in another place."""
    for name in MODEL_FIELDS & set(request.DESCRIPTOR.fields_by_name):
        return str(getattr(request, name)).split("/axes/")[0]
    return _model(request.start) if "start" in request.DESCRIPTOR.fields_by_name else ""
