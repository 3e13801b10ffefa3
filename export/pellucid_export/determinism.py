"""Whether the rows of a batch depend on the batch they are computed in."""

import numpy as np

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, DETERMINISM_ONE_LEVEL, Determinism
from pellucid_export.errors import ParityError
from pellucid_export.family import Signature
from pellucid_export.parity import largest_error, tolerance
from pellucid_export.runtime import Runner
from pellucid_export.samples import Arrays, draw

_SEED = 2


def measure(exported: Runner, signature: Signature, max_batch_size: int) -> "Determinism.ValueType":
    """Run rows alone and at random places in batches of several sizes up to the largest, and compare.

    EXACT: all outputs are byte-identical. ONE_LEVEL: they are within their tolerance, which is one 8-bit level for
    images. Raises ParityError where a row differs by more: then it depends on its neighbours.

    Both hold for one number of threads: ONNX Runtime shares out a product's columns among them, and an odd share
    can end in another kernel (seen with 3 threads; 1, 2 and 4 gave the same bytes).
    """
    rows = draw(signature, max_batch_size, _SEED)
    alone = _joined([exported(_rows(rows, [row])) for row in range(max_batch_size)])
    places = np.random.Generator(np.random.Philox(_SEED))
    result = DETERMINISM_EXACT
    for size in _sizes(signature, max_batch_size):
        chosen = places.choice(max_batch_size, size, replace=False).tolist()
        batch = exported(_rows(rows, chosen))
        for tensor in signature.outputs:
            expected = alone[tensor.name][chosen]
            if batch[tensor.name].tobytes() == expected.tobytes():
                continue
            result = DETERMINISM_ONE_LEVEL
            error = largest_error(tensor, expected, batch[tensor.name])
            if not error <= tolerance(tensor):
                raise ParityError(
                    f"output '{tensor.name}' differs by {error:g} in a batch of {size} from the same row alone;"
                    f" {tolerance(tensor):g} is tolerated"
                )
    return result


def _sizes(signature: Signature, largest: int) -> list[int]:
    """Every size where rows are quickly computed, and otherwise 1, 2, 3, the powers of two, and the largest."""
    if signature.is_quick:
        return list(range(1, largest + 1))
    return sorted({size for size in (1, 2, 3, 4, 8, 16, 32, 64, largest) if size <= largest})


def _rows(values: Arrays, chosen: list[int]) -> Arrays:
    return {name: np.ascontiguousarray(value[chosen]) for name, value in values.items()}


def _joined(outputs: list[Arrays]) -> Arrays:
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
