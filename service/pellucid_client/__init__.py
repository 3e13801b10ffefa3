"""Client of Pellucid: `Client` and `AsyncClient`, and the `pellucid` command.

with Client("127.0.0.1:50051") as client:
    face = client.generate("digiface", seed=7)[0]
    happier = client.edit(face, {"happiness": 2}, locks=["masculine"])[0]
    happier.save("happier.png")
    blond, older = client.translate("stargan", happier, to=["Blond_Hair", "Young"])
"""

from pellucid_client.analysis import Analysis
from pellucid_client.async_client import AsyncClient
from pellucid_client.attention import AttentionMap
from pellucid_client.client import Client
from pellucid_client.controls import Controls, StyleMix
from pellucid_client.edits import Distance, Steps, Sweep, Target
from pellucid_client.errors import (
    Cancelled,
    DeadlineExceeded,
    Denied,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    PellucidError,
    Transient,
    Unavailable,
    Unsupported,
    Violation,
)
from pellucid_client.fit import Fit
from pellucid_client.image import Image
from pellucid_client.latent import Latent
from pellucid_client.rendition import Rendition
from pellucid_client.retry import RetryPolicy
from pellucid_client.scene import Paste, Relabel, Remove, Scene
from pellucid_client.targets import Change, Style
from pellucid_client.translation import Translated, Translation
from pellucid_client.translation_item import TranslationItem

__all__ = [
    "Analysis",
    "AsyncClient",
    "AttentionMap",
    "Cancelled",
    "Change",
    "Client",
    "Controls",
    "DeadlineExceeded",
    "Denied",
    "Distance",
    "Fit",
    "Image",
    "Internal",
    "InvalidRequest",
    "Latent",
    "NotFound",
    "Overloaded",
    "Paste",
    "PellucidError",
    "Relabel",
    "Remove",
    "Rendition",
    "RetryPolicy",
    "Scene",
    "Steps",
    "Style",
    "StyleMix",
    "Sweep",
    "Target",
    "Transient",
    "Translated",
    "Translation",
    "TranslationItem",
    "Unavailable",
    "Unsupported",
    "Violation",
]
