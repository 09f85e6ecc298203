"""Generalised pooling (GPO, of VSE∞): a learned mixture of a feature's largest, second largest, … value."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from selfalign.backbones.pooling.base import Pooling
from selfalign.functional.masking import RealRows, packed, unpacked
from selfalign.functional.precision import at_least_single


class GeneralisedPooling(Pooling):
    """Sorts every feature over a sample's n elements and weights the places (METHOD section 9.3).

    ``θ = softmax(Linear(BiGRU(code of place 1 … n)) / temperature)``, one θ of n numbers for all features; between mean
    (all alike) and maximum (the first place alone).

    Args:
        code_width: width of the sinusoidal code of a place, even.
        hidden: width of each direction of the GRU.
        temperature: of the softmax.
    """

    def __init__(self, code_width: int = 32, hidden: int = 32, temperature: float = 0.1) -> None:
        super().__init__()
        if code_width < 2 or code_width % 2:
            raise ValueError(f"code_width: expected a positive even number, got {code_width}")
        if temperature <= 0:
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        self.code_width = code_width
        self.temperature = temperature
        self.rnn = nn.GRU(code_width, hidden, batch_first=True, bidirectional=True)
        self.score = nn.Linear(2 * hidden, 1, bias=False)

    def place_weights(self, largest: int, device: torch.device) -> Tensor:
        """(largest, largest): row n − 1 holds θ of a sample of n elements, zeros after its n places."""
        codes = place_codes(largest, self.code_width, device).to(self.score.weight.dtype)
        states, _ = self.rnn(packed(codes.expand(largest, -1, -1), torch.arange(1, largest + 1)))
        states = unpacked(states, largest)  # (n, places, 2·hidden)
        logits = at_least_single(self.score(states)[..., 0]) / self.temperature
        places = torch.arange(largest, device=device)
        return torch.softmax(logits.masked_fill(places > places[:, None], -torch.inf), dim=1)

    def forward(self, features: Tensor, rows: RealRows) -> Tensor:
        """See :class:`Pooling`."""
        ordered = rows.put(features, fill=-torch.inf).sort(dim=1, descending=True).values  # (B, n, D)
        weights = self.place_weights(ordered.shape[1], ordered.device).to(ordered.dtype)
        own = weights[rows.counts(ordered.device) - 1]  # (B, n)
        return (own[..., None] * ordered.masked_fill(own[..., None] == 0, 0.0)).sum(dim=1)


def place_codes(count: int, width: int, device: torch.device) -> Tensor:
    """(count, width) float64: sinusoidal codes of the places 1 … count, sines in even columns, cosines in odd ones."""
    places = torch.arange(1, count + 1, dtype=torch.float64, device=device)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64, device=device) * (-math.log(10_000) / width))
    return torch.stack([torch.sin(places * rates), torch.cos(places * rates)], dim=-1).flatten(1)
