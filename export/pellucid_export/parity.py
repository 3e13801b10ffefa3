"""How closely an exported graph follows the network it was made from."""

import numpy as np

from pellucid.v1.model_pb2 import Parity
from pellucid_export.errors import ParityError
from pellucid_export.family import Signature, Tensor
from pellucid_export.runtime import Runner
from pellucid_export.samples import Array, draw

SAMPLES = 32
SLOW_SAMPLES = 4
_GROWN_SAMPLES = 2
_SEED = 1
_LEVELS = 255


def compare(
    reference: Runner, exported: Runner, signature: Signature, runtime: str, samples: int | None = None
) -> Parity:
    """Run both on the same random inputs; the output that is worst against its tolerance counts.

    `samples` is SAMPLES by default, and SLOW_SAMPLES of what is not quickly computed.
    Errors are in 8-bit levels for outputs named `image`, in the output's unit otherwise. Raises ParityError where an
    output differs by more than its tolerance, in shape or type.
    """
    samples = samples or (SAMPLES if signature.is_quick else SLOW_SAMPLES)
    worst = Parity(samples=samples, runtime=runtime, tolerance=1)
    # A graph may have kept the lengths that it was traced with: they are compared at others too.
    for grown in (0, 1, 3) if signature.varies else (0,):
        inputs = draw(signature, samples if not grown else _GROWN_SAMPLES, _SEED, grown)
        expected, found = reference(inputs), exported(inputs)
        for tensor in signature.outputs:
            error = largest_error(tensor, expected[tensor.name], found[tensor.name])
            allowed = tolerance(tensor)
            if not error <= allowed:  # also true for NaN
                raise ParityError(
                    f"output '{tensor.name}' differs by {error:g} under {runtime}; {allowed:g} is tolerated"
                )
            is_first = tensor is signature.outputs[0] and not grown
            if is_first or error / allowed > worst.max_error / worst.tolerance:
                worst.max_error, worst.tolerance = error, allowed
    return worst


def largest_error(tensor: Tensor, expected: Array, found: Array) -> float:
    """Largest absolute difference in the unit of `Parity`. Raises ParityError for another shape or type."""
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise ParityError(
            f"output '{tensor.name}' is {found.dtype} {found.shape}, expected {expected.dtype} {expected.shape}"
        )
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    return float(difference.max(initial=0.0)) / unit(tensor)


def tolerance(tensor: Tensor) -> float:
    """What the tensor tolerates, in the unit of `Parity`."""
    if tensor.tolerance is not None:
        return tensor.tolerance / unit(tensor)
    return 1.0 if tensor.name == "image" else _level(tensor)


def unit(tensor: Tensor) -> float:
    """The size of an 8-bit level for images, 1 otherwise."""
    return _level(tensor) if tensor.name == "image" else 1.0


def _level(tensor: Tensor) -> float:
    low, high = tensor.low or 0.0, _LEVELS if tensor.high is None else tensor.high
    return (high - low) / _LEVELS
