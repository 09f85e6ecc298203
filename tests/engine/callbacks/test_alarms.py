"""What a run says, and leaves, when training goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from selfalign.commands import replay
from selfalign.engine import training
from selfalign.engine.callbacks import collapse_warnings
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import NonFiniteError
from selfalign.runs.reproduction import read_reproduction
from tests.engine.callbacks.test_resuming import settings


def test_a_loss_that_is_no_number_stops_before_the_step_and_can_be_replayed(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A weight becomes infinite in the seventh step, as after a step with a much too high rate."""
    config = settings(scan_folder, "vsrn")
    plain = RetrievalModule.training_step

    def poisoned(self: RetrievalModule, batch: object, index: int) -> torch.Tensor:
        if self.global_step == 6:
            with torch.no_grad():
                next(self.backbone.image_tower.parameters()).view(-1)[0] = torch.inf
        return plain(self, batch, index)

    monkeypatch.setattr(RetrievalModule, "training_step", poisoned)
    with pytest.raises(NonFiniteError, match=r"step 7: loss .*training.learning_rate") as caught:
        training.train(config, tmp_path, [])
    assert "\n" not in str(caught.value)
    output = capsys.readouterr().out
    step = read_reproduction(tmp_path / "reproducer.pt")
    assert step.step == 6
    first = int(step.batch.images.ids[0]), int(step.batch.captions.ids[0])
    assert f"image {first[0]} (caption {first[1]})" in output
    for values in torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"].values():
        assert not values.is_floating_point() or torch.isfinite(values).all()
    assert replay.main([str(tmp_path / "reproducer.pt")]) == 1
    output = capsys.readouterr().out
    for part in ("step 7, epoch 2, 12 pairs", "weights that are no numbers: backbone.image_tower", "reproduced"):
        assert part in output


def test_a_replayed_step_has_the_loss_of_the_run(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dropout included; an infinite gradient alone is enough to stop."""
    seen = []
    plain = RetrievalModule.loss_terms

    def noted(self: RetrievalModule, *arguments: object) -> dict[str, torch.Tensor]:
        terms = plain(self, *arguments)
        seen.append({name: f"loss {name}: {float(value):.6g}" for name, value in terms.items()})
        return terms

    def broken(gradients: object, *_: object) -> torch.Tensor:
        return torch.tensor(torch.inf)

    monkeypatch.setattr(RetrievalModule, "loss_terms", noted)
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", broken)
    config = settings(scan_folder, "camera", "+backbone.bert.scratch.hidden_dropout_prob=0.3")
    with pytest.raises(NonFiniteError, match="gradient norm inf"):
        training.train(config, tmp_path, [])
    capsys.readouterr()
    assert replay.main([str(tmp_path / "reproducer.pt")]) == 0
    output = capsys.readouterr().out
    assert all(line in output for line in seen[0].values())
    assert "all numbers are finite here" in output


def test_a_collapsed_model_is_told_once_with_what_helps(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Features that are all the same cannot be told apart."""
    monkeypatch.setattr(collapse_warnings, "_CHECKS", 2)
    monkeypatch.setattr(training, "_LOG_EVERY", 2)
    plain = RetrievalModule.loss_terms

    def blurred(self: RetrievalModule, batch: object, images: object, captions: object, shares: object) -> object:
        plain_similarity = self.backbone.similarity
        self.backbone.similarity = lambda *parts: 1e-6 * plain_similarity(*parts)
        terms = plain(self, batch, images, captions, shares)
        del self.backbone.similarity
        return terms

    monkeypatch.setattr(RetrievalModule, "loss_terms", blurred)
    training.train(settings(scan_folder, "vsrn", "loss=baseline", "training.epochs=3"), tmp_path, [])
    output = capsys.readouterr().out
    assert output.count("the ranking loss stays where all similarities are equal") == 1
    assert output.count("encoded alike") == 1


def test_a_model_that_learns_is_not_warned_of(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collapse_warnings, "_CHECKS", 2)
    training.train(settings(scan_folder, "vsrn", "training.epochs=6"), tmp_path, [])
    assert "warning" not in capsys.readouterr().out
