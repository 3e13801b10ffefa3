"""The text encoder of AttnGAN: words read forwards and backwards (Xu et al. 2018, section 3.2, "The text encoder").

Every caption of a batch has its own length, and nothing after it counts. A graph cannot pack sequences as the official
code does; so the backward direction reads each caption's words mirrored, from the last to the first, and both
directions step together.
"""

import torch
from torch import nn
from torch.nn import functional

from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError

_GATES = 4


class CaptionEncoder(nn.Module):
    """Tokens (N, T) and their counts (N, 1) to words (N, E, T), a sentence (N, E) and a word mask (N, T).

    E is twice `width`. Words are 0 beyond the count; the mask is 1 for words and 0 beyond.
    A count outside 1..T is taken as the nearest in it.
    """

    def __init__(self, vocabulary: int, embedding: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.Embedding(vocabulary, embedding)
        # NOTE: it holds the weights and never runs: torch.export rewrites a whole nn.LSTM to a loop, slowly and with
        # warnings, and its backward direction would begin in the padding.
        self.rnn = nn.LSTM(embedding, width, batch_first=True, bidirectional=True)

    def forward(
        self, tokens: torch.Tensor, token_count: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode a batch of captions."""
        count = token_count.clamp(1, tokens.shape[1])  # a wrong one must not fail its neighbours
        position = torch.arange(tokens.shape[1], device=tokens.device)[None]  # (1, T)
        mirrored = (count - 1 - position).clamp(min=0)  # (N, T), its own inverse within a caption
        is_word = position < count
        forwards, backwards = self._steps(tokens, tokens.gather(1, mirrored)).chunk(2, dim=2)  # each (N, T, E / 2)
        index = mirrored[:, :, None].expand(-1, -1, forwards.shape[2])
        both = torch.cat([forwards, backwards.gather(1, index)], dim=2)
        words = both.masked_fill(~is_word[:, :, None], 0).transpose(1, 2)  # (N, E, T)
        # Either direction ends with its caption's last step, whose index the first of the mirrored ones is.
        sentence = torch.cat([steps.gather(1, index[:, :1])[:, 0] for steps in (forwards, backwards)], dim=1)
        return words, sentence, is_word.to(words.dtype)

    def _steps(self, tokens: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Hidden states (N, T, E) after each step of two LSTMs side by side, on captions and on mirrored ones.

        They run as one of twice the width in which neither sees the other's states.
        """
        width = self.rnn.hidden_size
        inputs = _side_by_side(self._offered(tokens, ""), self._offered(mirrored, "_reverse"), dim=2)
        forwards = functional.pad(self.rnn.get_parameter("weight_hh_l0"), (0, width))
        backwards = functional.pad(self.rnn.get_parameter("weight_hh_l0_reverse"), (width, 0))
        recurrent = _side_by_side(forwards, backwards, dim=0)  # (4 * E, E)
        hidden = cell = inputs.new_zeros(inputs.shape[0], 2 * width)
        states = []
        for step in inputs.unbind(1):
            take, keep, offered, give = (step + functional.linear(hidden, recurrent)).chunk(_GATES, dim=1)
            cell = keep.sigmoid() * cell + take.sigmoid() * offered.tanh()
            hidden = give.sigmoid() * cell.tanh()
            states.append(hidden)
        return torch.stack(states, dim=1)

    def _offered(self, tokens: torch.Tensor, end: str) -> torch.Tensor:
        """What tokens (N, T) add to the gates (N, T, 4 * width) of the direction whose weights' names end so."""
        bias = self.rnn.get_parameter(f"bias_ih_l0{end}") + self.rnn.get_parameter(f"bias_hh_l0{end}")
        return functional.linear(self.encoder(tokens), self.rnn.get_parameter(f"weight_ih_l0{end}"), bias)


def _side_by_side(first: torch.Tensor, second: torch.Tensor, dim: int) -> torch.Tensor:
    """Each of the first's gates beside the same of the second's."""
    gates = (torch.unflatten(part, dim, (_GATES, -1)) for part in (first, second))
    return torch.cat(list(gates), dim + 1).flatten(dim, dim + 1)


def load(state: checkpoints.State, file: str) -> CaptionEncoder:
    """The encoder with the weights of a file, its sizes told by their shapes. Raises CheckpointError."""
    gates, width = _matrix(state, "rnn.weight_hh_l0", file)
    vocabulary, embedding = _matrix(state, "encoder.weight", file)
    if gates != _GATES * width:
        raise CheckpointError(
            f"{file}: not an LSTM: rnn.weight_hh_l0 must have 4 times as many rows as columns, found {(gates, width)}"
            + (" (a GRU, which no published AttnGAN has)" if gates == 3 * width else "")
        )
    encoder = CaptionEncoder(vocabulary, embedding, width)
    checkpoints.load_strictly(encoder, state, f"a text encoder of {vocabulary} words in {file}")
    return encoder.eval()


def _matrix(state: checkpoints.State, key: str, file: str) -> tuple[int, int]:
    shape = tuple(state[key].shape) if key in state else ()
    if len(shape) != 2 or min(shape) < 1:
        found = shape if key in state else ", ".join(sorted(state)[:5])
        raise CheckpointError(f"{file}: not AttnGAN's text encoder: a matrix {key} is expected, found {found}")
    return shape[0], shape[1]
