"""VSRN's text tower against a GRU that is stepped word by word."""

from __future__ import annotations

import torch
from torch.nn import functional

from selfalign.backbones.vsrn import VsrnTextTower
from selfalign.functional.masking import RealRows
from selfalign.structures import CaptionBatch

LENGTHS = (4, 2, 6)


def test_a_caption_is_the_state_after_its_last_real_word() -> None:
    torch.manual_seed(0)
    tower = (
        VsrnTextTower(vocabulary_size=20, word_width=5, width=6, word_projection=True, context=False).double().eval()
    )
    tokens = torch.zeros(3, max(LENGTHS), dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        tokens[row, :length] = torch.randint(1, 20, (length,))
    batch = CaptionBatch(tokens, torch.tensor(LENGTHS), torch.arange(3), torch.arange(3))
    found = tower(batch, RealRows(tokens.shape, batch.mask)).embedding.vector
    rnn = tower.rnn
    for row, length in enumerate(LENGTHS):
        state = torch.zeros(6, dtype=torch.float64)
        for word in tokens[row, :length]:
            given = tower.project(tower.embedding.weight[word])
            into = (rnn.weight_ih_l0 @ given + rnn.bias_ih_l0).chunk(3)
            on = (rnn.weight_hh_l0 @ state + rnn.bias_hh_l0).chunk(3)
            reset, update = (torch.sigmoid(one + other) for one, other in zip(into[:2], on[:2], strict=True))
            state = (1 - update) * torch.tanh(into[2] + reset * on[2]) + update * state
        torch.testing.assert_close(found[row], functional.normalize(state, dim=0))
