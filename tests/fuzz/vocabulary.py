"""What requests speak of: names that mean something to the gateway of these tests, and numbers that tell callers apart."""

from dataclasses import dataclass

from tests.pellucid_gateway import atelier, workshop

ALL = (*(card.name for card in (*atelier.CARDS, *workshop.CARDS)), "models/paint", "models/meter")
WORDS = (
    *("red", "green", "warm", "bare", "glow", "wide", "hem", "length"),
    *("looks", "moods", "dark", "fair", "hat", "calm", "wild", "summer2winter", "winter2summer"),
    *("Silk", "great ape", "bee", "a small red bird", "sha256:" + "a" * 64, "1", "2", "red:+2", "hem:-1.5"),
)


@dataclass(frozen=True)
class Vocabulary:
    """Names and numbers of one caller: their models, the start of their request ids, and their own seeds."""

    models: tuple[str, ...] = ALL
    marker: str = "fuzz"
    seeds: tuple[int, ...] = (0, 1, 7, 2**32, 2**63, 2**64 - 1)


SHARED = ("paint", "meter", "judge")
NORTHERN = (*SHARED, "tailor", "barber", "lace")
SOUTHERN = (*SHARED, "zoo", "scribe", "town")
"""Models that each of two callers may use."""


def of_caller(name: str, models: tuple[str, ...]) -> Vocabulary:
    """What a caller speaks of: seeds that begin with the bytes of their name, and tell in the last seven bits."""
    first = int.from_bytes(name.encode()[:5], "big") << 24
    return Vocabulary(tuple(f"models/{model}" for model in models), name, tuple(range(first, first + 100, 33)))
