"""The errors of export.

ExportError
├── CheckpointError     a file cannot be read safely, or holds another network
├── FamilyError         a family or option that does not exist, or a wrong option value
├── FetchError          a published file cannot be had, or is not the one that was pinned
├── GraphError          a network cannot be written in the form that was asked for
├── ParityError         the exported graph does not follow the network it was made from
└── RepositoryError     a model, version or configuration in the model repository is missing or in the way
    └── SignatureError  the model exists with other tensors
"""


class ExportError(Exception):
    """Anything export refuses to do; its message is for the user."""


class CheckpointError(ExportError):
    """A file cannot be read safely, or holds another network than the family's."""


class FamilyError(ExportError):
    """A family or option that does not exist, or a wrong option value."""


class FetchError(ExportError):
    """A published file cannot be had, or is not the one that was pinned."""


class GraphError(ExportError):
    """A network cannot be written in the form that was asked for."""


class ParityError(ExportError):
    """The exported graph does not follow the network it was made from."""


class RepositoryError(ExportError):
    """A model, version or configuration in the model repository is missing or in the way."""


class SignatureError(RepositoryError):
    """The model exists with other tensors: a different signature is a new model."""
