"""The file of a step that gave no number."""

from __future__ import annotations

from pathlib import Path

import torch

from selfalign.runs.reproduction import Reproduction, read_reproduction, save_reproduction
from tests.test_structures import pairs


def test_a_file_from_before_batches_had_counts_is_read(tmp_path: Path) -> None:
    step = Reproduction({}, {"weight": torch.ones(2)}, pairs(), torch.get_rng_state(), 3, 0)
    save_reproduction(tmp_path / "new.pt", step)
    content = torch.load(tmp_path / "new.pt", weights_only=True)
    for part in ("images", "captions"):
        del content["selfalign_step"]["batch"][part]["counts"]
    torch.save(content, tmp_path / "old.pt")
    for name in ("new.pt", "old.pt"):
        batch = read_reproduction(tmp_path / name).batch
        assert batch.images.counts is not None
        assert batch.images.counts.tolist() == [4, 1, 2]
        assert batch.captions.counts.tolist() == [3, 5, 2]
