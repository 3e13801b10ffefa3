"""Resource names: `models/{model}` and `models/{model}/axes/{axis}`."""

from pellucid_client.errors import InvalidRequest


def model_name(model: str) -> str:
    """Return the resource name of a model given by it or by its last part."""
    return model if model.startswith("models/") else f"models/{model}"


def axis_name(axis: str) -> str:
    """Return the resource name of an axis given by it or as `{model}/{axis}`."""
    if axis.startswith("models/"):
        return axis
    model, separator, last = axis.partition("/")
    if not separator:
        raise InvalidRequest.of("name", f"{axis!r} is neither `model/axis` nor `models/model/axes/axis`")
    return f"models/{model}/axes/{last}"


def short_name(name: str) -> str:
    """Return the last part of a resource name."""
    return name.rpartition("/")[2]
