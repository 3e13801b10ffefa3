"""The asynchronous client.

How a call goes:
1. `requests` turns the arguments into the contract's request, and draws the seed where none is given, so that
   asking twice means the same;
2. `calls` sends it with what is left of its time, and repeats or continues it (`retry`, `resume`);
3. `assembly` and `image` turn the answer into images, `status` a failure into an error.
"""

from pellucid_client.analysis_calls import AnalysisCalls
from pellucid_client.image_calls import ImageCalls
from pellucid_client.model_calls import ModelCalls
from pellucid_client.translation_calls import TranslationCalls


class AsyncClient(ModelCalls, ImageCalls, AnalysisCalls, TranslationCalls):
    """A client for asyncio; one is enough for a program, and all its calls share one connection.

    Every method raises PellucidError. Models are named `digiface` or `models/digiface`. Calls are repeated after
    Unavailable and Overloaded within their time, which is safe because nothing they do changes anything, and seeds,
    latents and recipes give the same image every time; streams go on where they broke.
    """
