"""Names at a dashboard: of a sweep, of single runs."""

from __future__ import annotations

from pathlib import Path

from selfalign.runs.names import run_names

CHOICES = {"backbone": "vsrn", "loss": "concept", "data": "f30k", "logger": "wandb"}


def test_jobs_of_a_sweep_share_its_folder_s_name() -> None:
    jobs = [run_names(CHOICES, [f"seed={n}"], n, Path("/r/sweeps/seed/seed=1"), Path("/r/sweeps/seed")) for n in (1, 2)]
    assert {job.group for job in jobs} == {"seed"}
    assert jobs[0].name == "seed=1"
    assert jobs[0].tags == ("vsrn", "concept", "f30k")


def test_a_single_run_is_named_by_what_was_set() -> None:
    overrides = ["backbone=vsrn", "logger=wandb", "+logger.wandb.entity=me", "loss.concept.weight=0.5", "seed=7"]
    names = run_names(CHOICES, overrides, 7, Path("/r/x"), None)
    assert (names.group, names.name) == ("vsrn-concept-f30k", "concept.weight=0.5,seed=7")
    assert run_names(CHOICES, [], 1024, Path("/r/x"), None).name == "seed=1024"


def test_names_fit_and_keep_what_tells_them_apart() -> None:
    long = [f"loss.concept.weight={'1' * 200}"]
    single = run_names(CHOICES, long, 7, Path("/r/x"), None)
    swept = run_names(CHOICES, long, 7, Path("/r", "j" * 120 + "~12345678"), Path("/r", "s" * 200 + "~abcdef01"))
    assert max(map(len, (single.name, swept.name, swept.group))) <= 128
    assert single.name.endswith(",seed=7")
    assert swept.group.endswith("~abcdef01")
    assert swept.name.endswith("~12345678")
