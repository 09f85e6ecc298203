"""The training loop: schedule, prototype freeze, validation moments, checkpoints that load without running code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.engine.building import build_data, build_module, build_tokenizer, rebuild_module
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.processes.exchange import ALONE, Shares
from selfalign.runs.checkpoint import read_checkpoint
from tests.configs.test_composition import TINY, composed


def built(root: Path, *overrides: str, backbone: str = "camera") -> tuple[RetrievalModule, RetrievalDataModule]:
    pl.seed_everything(0, verbose=False)
    config = composed(
        f"backbone={backbone}",
        "data=precomputed",
        f"data.root={root}",
        "data.workers=0",
        "data.batch_size=12",
        "backbone.width=8",
        "loss.concept.prototypes=6",
        *TINY.get(backbone, ()),
        *overrides,
    )
    tokenizer = build_tokenizer(config, lambda line: None)
    return build_module(config, 10, tokenizer), build_data(config, tokenizer)


def trainer(root: Path, *callbacks: pl.Callback, epochs: int = 2, **settings: Any) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=root,
        accelerator="cpu",
        max_epochs=epochs,
        gradient_clip_val=2.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **settings,
    )


class Watch(pl.Callback):
    """Notes prototypes, learning rates and the steps at which validation ran."""

    def __init__(self) -> None:
        self.prototypes: list[torch.Tensor] = []
        self.rates: list[float] = []
        self.validated: list[int] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: RetrievalModule) -> None:
        if "concept" in module.losses:
            self.prototypes.append(module.losses["concept"].prototypes.detach().clone())

    def on_train_epoch_start(self, trainer: pl.Trainer, module: RetrievalModule) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_end(self, trainer: pl.Trainer, module: RetrievalModule) -> None:
        self.validated.append(trainer.global_step)


@pytest.mark.parametrize(("backbone", "frozen"), [("camera", True), ("vsrn", False)])
def test_prototypes_wait_for_the_second_epoch_in_camera_only(scan_folder: Path, backbone: str, frozen: bool) -> None:
    module, data = built(scan_folder, "training.learning_rate=0.01", backbone=backbone)
    start = torch.nn.functional.normalize(module.losses["concept"].prototypes.detach().clone(), dim=-1)
    watch = Watch()
    trainer(scan_folder, watch).fit(module, data)
    assert torch.allclose(watch.prototypes[0], start, atol=1e-6) == frozen
    assert not torch.allclose(watch.prototypes[1], start, atol=1e-3)


def test_validation_comes_every_so_many_steps_and_at_the_end_of_each_epoch(scan_folder: Path) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    watch = Watch()
    trainer(scan_folder, ValidateEvery(3), watch, epochs=3).fit(module, data)  # 5 steps an epoch
    assert watch.validated == [3, 5, 6, 9, 10, 12, 15]


def test_the_rate_falls_by_ten_after_so_many_epochs(scan_folder: Path) -> None:
    module, data = built(scan_folder, "training.decay_every=2", "training.learning_rate=0.001", backbone="vsrn")
    watch = Watch()
    trainer(scan_folder, watch, epochs=5).fit(module, data)
    assert watch.rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


@pytest.mark.parametrize("backbone", ["camera", "vsrn"])
def test_the_total_is_the_weighted_sum_of_the_terms(scan_folder: Path, backbone: str) -> None:
    module, data = built(scan_folder, "loss.concept.weight=0.5", "loss.context.weight=3", backbone=backbone)
    batch = next(iter(data.train_dataloader()))
    module.eval()
    terms = module.loss_terms(
        batch,
        module.backbone.encode_images(batch.images),
        module.backbone.encode_captions(batch.captions),
        Shares(ALONE, (12,)),
    )
    own = {"camera": {"diversity": 0.01}, "vsrn": {"captioning": 1.0}}[backbone]
    weights = {"ranking": 1.0, "concept": 0.5, "context": 3.0} | own
    assert set(terms) == set(weights)
    expected = sum(weights[name] * value for name, value in terms.items())
    module.log = module.log_dict = lambda *arguments, **settings: None
    torch.testing.assert_close(module.training_step(batch, 0), expected)


@pytest.mark.parametrize("backbone", ["camera", "vsrn"])
def test_a_checkpoint_rebuilds_its_module(scan_folder: Path, backbone: str) -> None:
    module, data = built(scan_folder, backbone=backbone)
    fitted = trainer(scan_folder, epochs=1)
    fitted.fit(module, data)
    fitted.save_checkpoint(scan_folder / "a.ckpt")
    provenance, weights = read_checkpoint(scan_folder / "a.ckpt")
    again, tokenizer = rebuild_module(provenance)
    again.load_state_dict(weights)
    batch = data.split("test").caption_batch(torch.arange(6).numpy())
    module.eval()
    again.eval()
    with torch.no_grad():
        for values, expected in zip(
            vars(again.backbone.encode_captions(batch).embedding).values(),
            vars(module.backbone.encode_captions(batch).embedding).values(),
            strict=True,
        ):
            assert torch.equal(values, expected)
    assert tokenizer.state() == data.tokenizer.state()


def test_a_hard_negative_warm_up_counts_all_negatives_first(scan_folder: Path) -> None:
    module, _ = built(scan_folder, "loss.ranking.warm_up_epochs=1", backbone="vsrn")
    similarity, ids = torch.rand(6, 6), torch.arange(6)
    ranking = module.losses["ranking"]
    assert ranking(similarity, ids, 0) > ranking(similarity, ids, 1)
