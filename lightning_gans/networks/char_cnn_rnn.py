"""An encoder of captions that reads characters."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

# With `-` twice, of which the later place counts.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
PLACES = {letter: place for place, letter in enumerate(ALPHABET)}
RECURRENT = ("gru", "relu")


class CharCNNRNN(nn.Module):
    """Convolutions over characters, then a recurrent layer (Reed et al., 2016, https://arxiv.org/abs/1605.05395).

    The encoder of GAN-INT-CLS and StackGAN: three convolutions, of which two are pooled, so that 201 characters become
    18 steps; a recurrent layer; the mean of its states over time; a linear layer. As in the authors' code the first
    state of the GRU is tanh(W x), which has no gates.

    Args:
        text_dim: Numbers of a text; 1024 in the paper.
        width: Channels of the second and third convolution and of the recurrent layer; 512 in the paper. The first has
            three quarters of them.
        recurrent: `gru`, as for GAN-INT-CLS, or `relu` for a recurrent layer with ReLU, as in the code of the paper.
    """

    def __init__(self, text_dim: int = 1024, width: int = 512, recurrent: str = "gru"):
        super().__init__()
        if recurrent not in RECURRENT:
            raise ValueError(f"`recurrent` must be one of {', '.join(RECURRENT)}, got {recurrent!r}.")
        self.recurrent, self.width, self.text_dim = recurrent, width, text_dim
        first = width * 3 // 4
        self.look = nn.Sequential(
            nn.Conv1d(len(ALPHABET), first, 4),
            nn.ReLU(),
            nn.MaxPool1d(3),
            nn.Conv1d(first, width, 4),
            nn.ReLU(),
            nn.MaxPool1d(3),
            nn.Conv1d(width, width, 4),
            nn.ReLU(),
        )
        gates = 3 if recurrent == "gru" else 1
        self.input = nn.Linear(width, gates * width)
        self.state = nn.Linear(width, gates * width)
        self.project = nn.Linear(width, text_dim)

    def forward(self, characters: Int64[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """Returns texts of characters as `characters_of` numbers them, at least 48 of them."""
        known = one_hot(characters.clamp(min=0), len(ALPHABET)) * (characters >= 0)[:, :, None]
        seen = self.look(known.to(self.project.weight.dtype).transpose(1, 2)).transpose(1, 2)
        states: list[Tensor] = []
        for step in self.input(seen).unbind(1):
            state = states[-1] if states else None
            states.append(self.gated(step, state) if self.recurrent == "gru" else self.added(step, state))
        return self.project(torch.stack(states).mean(0))

    def added(self, step: Tensor, state: Tensor | None) -> Tensor:
        """Returns the next state of the layer with ReLU."""
        return relu(step if state is None else step + self.state(state))

    def gated(self, step: Tensor, state: Tensor | None) -> Tensor:
        """Returns the next state of the GRU."""
        if state is None:
            return step.chunk(3, 1)[2].tanh()
        (of_step, update, new), (of_state, kept, _) = step.chunk(3, 1), self.state(state).chunk(3, 1)
        reset, share = (of_step + of_state).sigmoid(), (update + kept).sigmoid()
        weight, bias = self.state.weight.chunk(3)[2], self.state.bias.chunk(3)[2]
        candidate = (new + nn.functional.linear(reset * state, weight, bias)).tanh()
        return share * state + (1 - share) * candidate


def characters_of(captions: Iterable[str], length: int = 201) -> Int64[Tensor, "n {length}"]:
    """Returns the number of each character of captions, in lower case, -1 for what is unknown or behind the end."""
    rows = [[PLACES.get(letter, -1) for letter in caption.lower()[:length]] for caption in captions]
    return torch.tensor([row + [-1] * (length - len(row)) for row in rows])
