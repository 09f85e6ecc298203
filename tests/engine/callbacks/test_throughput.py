"""Pairs a second: of all processes, without validation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from selfalign.engine.callbacks import throughput
from selfalign.engine.callbacks.throughput import Throughput


def test_pairs_of_all_processes_are_divided_by_the_time_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now)
    logged: list[tuple[str, float]] = []
    module = SimpleNamespace(log=lambda name, value: logged.append((name, value)))
    trainer, callback = SimpleNamespace(global_step=0), Throughput(every=2)
    whole = SimpleNamespace(rows=(3, 2), images=None)
    alone = SimpleNamespace(rows=None, images=SimpleNamespace(ids=[0, 1, 2, 3, 4]))
    for batch, seconds in ((whole, 1.0), (alone, 1.0), (whole, 2.0), (whole, 2.0)):
        callback.on_train_batch_start(trainer)
        now += seconds
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, batch, 0)
        callback.on_validation_start(trainer)
        now += 50.0
    assert logged == [("train/pairs_per_second", 5.0), ("train/pairs_per_second", 2.5)]
