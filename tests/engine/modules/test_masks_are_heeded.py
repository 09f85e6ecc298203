"""A backbone or a loss that knows of no mask is refused where images have different numbers of regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.engine.modules.readings import LossTerm
from selfalign.errors import UserError
from tests.engine.modules.test_training import built


def test_losses_and_towers_without_a_mask_are_refused(scan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(scan_folder / "train_num_regions.npy", np.full(12, 4))
    module, data = built(scan_folder, backbone="vsrn")
    batch = next(iter(data.train_dataloader()))
    assert batch.images.mask is None  # as many in all: no mask is needed, whoever knows of one
    mask = torch.arange(4) < torch.tensor([4] * 11 + [2])[:, None]
    batch.images = replace(batch.images, mask=mask, regions=batch.images.regions * mask[..., None])
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    assert torch.isfinite(module.training_step(batch, 0))
    term = module._terms["concept"]
    module._terms["concept"] = LossTerm(term.loss, 1.0, tuple(name for name in term.reads if name != "region_mask"))
    with pytest.raises(UserError, match=r"ConceptAlignmentLoss takes padding for regions.* read region_mask too"):
        module.training_step(batch, 0)
    tower = module.backbone.image_tower
    monkeypatch.setattr(tower, "forward", lambda given, run=tower.forward: replace(run(given), mask=None))
    with pytest.raises(UserError, match="VsrnImageTower takes padding for regions"):
        module.backbone.encode_images(batch.images)
