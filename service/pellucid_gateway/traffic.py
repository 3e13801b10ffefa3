"""Which version serves a request that names none: canary by weight.

Weights are in `<model>.traffic.json` at the root of the repository, such as `{"1": 95, "2": 5}`: beside the model's
folder, since what lies in it is signed. The file is the only place where they are kept: all gateways that read the
repository see a change at their next look, and it outlives them. Without the file, the default version serves. With it,
versions that it does not name get nothing.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Collection, Mapping

import structlog
from upath import UPath

from pellucid_gateway.errors import InvalidRequest, Refused, Violation, invalid

MOST_VERSIONS = 16
MOST_WEIGHT = 1_000_000

Weights = Mapping[str, int]

_log = structlog.get_logger()


def choose(weights: Weights, ready: Collection[str], request_id: str) -> str:
    """Choose a request's version: always the same for the same id; empty where no ready version has a weight.

    Each version draws for each request by itself, so that a change of weights, or a version that comes or goes, moves
    no more requests than it must.
    """
    able = _able(weights, ready)
    return min(able, key=lambda version: -math.log(_draw(version, request_id)) / weights[version], default="")


def heaviest(weights: Weights, ready: Collection[str]) -> str:
    """Give the ready version with the greatest weight, the newest of equal ones; empty where none has a weight."""
    return max(_able(weights, ready), key=lambda version: (weights[version], int(version)), default="")


def place(repository: UPath, model: str) -> UPath:
    """Give the file of a model's weights."""
    return repository / f"{model}.traffic.json"


def read(repository: UPath, model: str) -> Weights:
    """Read a model's weights. A file that cannot be understood is reported, and counts as none."""
    file = place(repository, model)
    try:
        weights = json.loads(file.read_text(encoding="utf-8"))
        return _checked(weights)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, InvalidRequest) as error:
        _log.error("weights refused", file=str(file), reason=str(error))
        return {}


def write(repository: UPath, model: str, weights: Weights) -> None:
    """Keep a model's weights, at once or not at all; no weights remove the file.

    Raises InvalidRequest, and Refused where the repository cannot be written.
    """
    checked = _checked(dict(weights)) if weights else {}
    file = place(repository, model)
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        if not checked:
            file.unlink(missing_ok=True)
            return
        part.write_text(json.dumps(checked, sort_keys=True), encoding="utf-8")
        part.rename(file)
    except OSError as error:
        raise Refused("REPOSITORY_READ_ONLY", f"{file} cannot be written: {error.strerror}") from error


def _able(weights: Weights, ready: Collection[str]) -> list[str]:
    return [version for version, weight in weights.items() if weight and version in ready]


def _draw(version: str, request_id: str) -> float:
    """Draw a number between 0 and 1 that only these two decide."""
    digest = hashlib.blake2b(f"{version} {request_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**64


def _checked(weights: object) -> dict[str, int]:
    if not isinstance(weights, dict) or not 0 < len(weights) <= MOST_VERSIONS:
        raise invalid("weights", f"weights of 1 to {MOST_VERSIONS} versions are needed")
    faults = [_fault(version, weight) for version, weight in weights.items() if not _sound(version, weight)]
    if faults:
        raise InvalidRequest(faults)
    if not any(weights.values()):
        raise invalid("weights", "one must be above 0")
    return weights


def _sound(version: str, weight: object) -> bool:
    # A bool is an int to Python, and no weight.
    return type(weight) is int and 0 <= weight <= MOST_WEIGHT and version.isdecimal()


def _fault(version: str, weight: object) -> Violation:
    return Violation(f"weights[{version}]", f"{weight!r} is no whole number from 0 to {MOST_WEIGHT} for a version")
