"""Who is first is decided from the strategy of a run; what a scheduler left in the environment decides nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from selfalign.errors import UserError
from selfalign.processes import place as module
from selfalign.processes.place import Place, be, forget_others, is_first_process, take_place

SINGLE = {"strategy": "auto", "devices": 1, "num_nodes": 1}
DDP = {"strategy": "ddp", "devices": 2, "num_nodes": 1}
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SLURM = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*module._STRAY, *SLURM, "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    be(Place())
    yield
    be(Place())


@pytest.mark.parametrize(
    "left",
    [
        {"RANK": "1", "WORLD_SIZE": "2"},
        {"LOCAL_RANK": "3"},
        TORCHRUN,
        SLURM,
        {"SLURM_PROCID": "5", "SLURM_LOCALID": "5"},
        {"JSM_NAMESPACE_RANK": "2"},
    ],
)
def test_a_run_of_one_device_is_first_whatever_is_in_the_environment(
    left: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    assert take_place(SINGLE) == Place()
    assert is_first_process()
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "JSM_NAMESPACE_RANK"} & set(os.environ)


@pytest.mark.parametrize("left", [{"LOCAL_RANK": "1"}, {"RANK": "1", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "1"}])
def test_single_variables_make_no_process_of_several(left: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    assert take_place(DDP) == Place()


def test_torchrun_and_srun_are_heard_where_the_strategy_is_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert take_place(DDP) == Place(1, 2, "slurm")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert take_place(DDP) == Place(1, 2, "torchrun")
    assert not is_first_process()
    assert os.environ["RANK"] == "1"


def test_a_step_of_one_task_is_alone_in_an_allocation_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}).items():
        monkeypatch.setenv(name, value)
    assert take_place(DDP) == Place()


def test_another_number_of_processes_than_the_strategy_s_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"WORLD_SIZE": "4"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"torchrun started 4 processes, but strategy.devices=2"):
        take_place(DDP)


def test_a_rank_that_is_no_number_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"RANK": "first"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="expected a number as RANK, got 'first'"):
        take_place(DDP)


def test_a_process_of_our_own_launching_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    be(Place(1, 2, "selfalign"))
    monkeypatch.setenv("RANK", "1")
    assert take_place(DDP) == Place(1, 2, "selfalign")
    assert os.environ["RANK"] == "1"


def test_what_is_forgotten_is_gone_for_processes_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    forget_others()
    assert not set(TORCHRUN) & set(os.environ)
