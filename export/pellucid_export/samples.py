"""Random inputs for a signature, to compare graphs with."""

import numpy as np
import numpy.typing as npt

from pellucid_export.family import Signature, Tensor

Array = npt.NDArray[np.generic]
Arrays = dict[str, Array]


def draw(signature: Signature, count: int, seed: int, grown: int = 0) -> Arrays:
    """`count` rows for every input: uniform within its range, standard normal where it has none.

    Lengths that may vary are `grown` multiples longer than their examples.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    return {tensor.name: _values(tensor, count, generator, grown) for tensor in signature.inputs}


def _values(tensor: Tensor, count: int, generator: np.random.Generator, grown: int) -> Array:
    shape = (count, *tensor.example(grown))
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        if tensor.low is None or tensor.high is None:
            return generator.standard_normal(shape).astype(dtype)
        return generator.uniform(tensor.low, tensor.high, shape).astype(dtype)
    low, high = tensor.low or 0, 255 if tensor.high is None else tensor.high
    return generator.integers(int(low), int(high), shape, dtype, endpoint=True)
