"""VSRN's auxiliary captioner: it describes an image from its graph output, in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.functional.masking import RealRows, unpacked


class RegionCaptioner(nn.Module):
    """A GRU over regions and an attention decoder with teacher forcing (METHOD section 2).

    Args:
        width: D of the graph output.
        vocabulary_size: words of the decoder's own table and of its output.
        hidden: width of both GRUs, 512 as published.
        word_width: width of the decoder's word table, 300 as published.
        dropout: probability, on the projected regions and on the decoder's inputs.
    """

    def __init__(
        self, width: int, vocabulary_size: int, hidden: int = 512, word_width: int = 300, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.region_rnn = nn.GRU(hidden, hidden, batch_first=True)
        self.embedding = nn.Embedding(vocabulary_size, word_width)
        self.attention_query = nn.Linear(hidden, hidden, bias=False)
        self.attention_key = nn.Linear(hidden, hidden)
        self.attention_score = nn.Linear(hidden, 1, bias=False)
        self.word_rnn = nn.GRUCell(word_width + hidden, hidden)
        self.output = nn.Linear(hidden, vocabulary_size)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_normal_(self.output.weight)

    def logits(
        self,
        graph: Tensor,
        words: Tensor,
        counted: Tensor,
        mask: Tensor | None = None,
        counts: Tensor | None = None,
        region_counts: Tensor | None = None,
    ) -> Tensor:
        """Scores of the next word after the given ones, where they are wanted.

        Args:
            graph: (B, R, D), ``norm_R`` of the graph output.
            words: (B, T) token ids, the first one ``<start>``.
            counted: (B, T) bool, words whose successor is wanted; the vocabulary is wide and padding is long.
            mask: (B, R) bool, real regions; ``None`` for all.
            counts, region_counts: (B,) of ``counted`` and of ``mask``, on the host, see :class:`RealRows`.

        Returns:
            (K, vocabulary) logits at the K counted words, in order.
        """
        real = RealRows(graph.shape[:2], mask, region_counts)
        states, last = self.region_rnn(real.packed(self.dropout(self.project(graph))))
        regions = states if mask is None else unpacked(states, mask.shape[1])  # (B, R, H)
        hidden = last[0]  # (B, H)
        keys = self.attention_key(regions)  # one product for all steps: only the query changes from step to step
        found = []
        for word in self.embedding(words).unbind(dim=1):
            energy = self.attention_score(torch.tanh(keys + self.attention_query(hidden)[:, None]))  # (B, R, 1)
            if mask is not None:
                energy = energy.masked_fill(~mask[..., None], -torch.inf)
            context = (torch.softmax(energy, dim=1) * regions).sum(dim=1)  # (B, H)
            hidden = self.word_rnn(self.dropout(torch.cat([word, context], dim=-1)), hidden)
            found.append(hidden)
        return self.output(RealRows(counted.shape, counted, counts).take(torch.stack(found, dim=1)))
