"""A run at W&B ends with its job, however it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import wandb
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from selfalign.engine.callbacks.wandb_run import ended_with_its_job
from selfalign.errors import UserError
from tests.wandb_files import read_offline_run


def offline(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> WandbLogger:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    return WandbLogger(project="tests", save_dir=run_dir, offline=True)


@pytest.mark.parametrize(("failure", "code"), [(RuntimeError, 1), (KeyboardInterrupt, 255)])
def test_a_job_that_fails_or_is_interrupted_ends_its_run(
    failure: type[BaseException], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = offline(tmp_path, monkeypatch)

    def job() -> None:
        with ended_with_its_job([logger], tmp_path):
            logger.log_metrics({"a": 1.0}, step=0)
            assert Path(os.environ["WANDB_DATA_DIR"]) == tmp_path / "wandb"
            raise failure

    with pytest.raises(failure):
        job()
    assert wandb.run is None
    assert "WANDB_DATA_DIR" not in os.environ
    run = read_offline_run(tmp_path)
    assert run.exit_code == code
    assert run.series("a") == [1.0]


def test_what_wandb_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = offline(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="logger=wandb: no such key"), ended_with_its_job([logger], tmp_path):
        raise wandb.Error("no such key")


def test_a_job_without_wandb_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(wandb.Error), ended_with_its_job([CSVLogger(tmp_path)], tmp_path):
        raise wandb.Error("not ours")
