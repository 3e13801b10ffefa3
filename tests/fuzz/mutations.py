"""Bytes that are almost what they were."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

EDGES = (0x00, 0x01, 0x7F, 0x80, 0xFF)


@st.composite
def mutated(draw: DrawFn, originals: SearchStrategy[bytes], most: int = 4) -> bytes:
    """Up to `most` times a byte changed, a part cut out, doubled or filled, or the end cut off."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 16)))
        match draw(st.sampled_from(("set", "cut", "double", "fill", "end", "insert"))):
            case "set":
                data[start : start + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[start:stop]
            case "double":
                data[stop:stop] = data[start:stop]
            case "fill":
                data[start:stop] = bytes([draw(st.sampled_from(EDGES))]) * (stop - start)
            case "end":
                del data[start:]
            case "insert":
                data[start:start] = draw(st.binary(max_size=12))
    return bytes(data)
