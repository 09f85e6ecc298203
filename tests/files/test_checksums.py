"""A flipped bit in a checkpoint is another weight: every reader refuses it."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest
import torch

from selfalign.engine.checkpoint_files import newest_checkpoint
from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file
from selfalign.runs.checkpoint import checked_weights, read_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    record = {"config": {}, "region_width": 3, "tokenizer": {}, "bert": None, "format": 1}
    weights = {f"layer.{n}": torch.randn(50, 40) for n in range(4)}
    torch.save({"state_dict": weights, "selfalign": record, "global_step": 3}, path)
    return path


def flip(path: Path, seed: int) -> str:
    """Flip one bit of one weight's or the description's bytes; the name of the record that it is in."""
    generator, content = random.Random(seed), bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        records = [record for record in archive.infolist() if record.file_size]
    record = generator.choice(records)
    header = record.header_offset
    names = sum(int.from_bytes(content[header + at : header + at + 2], "little") for at in (26, 28))
    content[header + 30 + names + generator.randrange(record.file_size)] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    return record.filename


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_refused_by_every_reader(checkpoint: Path, seed: int) -> None:
    read_torch_file(checkpoint, "checkpoint")
    name = flip(checkpoint, seed)
    for memory_map in (False, True):
        with pytest.raises(UserError, match="refused, damaged"):
            read_torch_file(checkpoint, "checkpoint", memory_map=memory_map)
    with pytest.raises(UserError, match="refused, damaged"):
        read_checkpoint(checkpoint)
    told: list[str] = []
    with pytest.raises(UserError, match="none of them can be read"):
        newest_checkpoint(checkpoint.parent, told.append)
    assert "Bad CRC-32" in told[0], name


def test_two_records_of_one_name_are_refused(checkpoint: Path) -> None:
    with zipfile.ZipFile(checkpoint, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("last/data/0", b"x" * 8000)
    with pytest.raises(UserError, match="two records of one name"):
        read_torch_file(checkpoint, "checkpoint")


def test_what_a_file_asks_for_is_named_without_torch_s_advice(tmp_path: Path) -> None:
    torch.save({"a": Path("x")}, tmp_path / "path.ckpt")
    with pytest.raises(UserError, match="it asks for pathlib") as caught:
        read_torch_file(tmp_path / "path.ckpt", "checkpoint")
    assert "weights_only" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.tensor([1.0, torch.nan]), "no numbers"),
        (torch.tensor([torch.inf]), "no numbers"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (torch.ones(2, device="meta"), "no tensor of values"),
        (torch.ones(2).to_sparse(), "no tensor of values"),
        ("text", "no tensor of values"),
    ],
)
def test_a_weight_that_no_model_has_is_one_line(values: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked_weights(Path("a.ckpt"), {"layer.weight": values})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(kind: torch.dtype) -> None:
    values = torch.randn(30).to(kind)
    found = checked_weights(Path("a.ckpt"), {"w": values, "steps": torch.tensor(3)})
    assert found["w"].dtype == torch.float32
    assert torch.equal(found["w"].to(kind), values)
    assert found["steps"].dtype == torch.int64


def test_double_precision_is_rounded() -> None:
    """What trained in it is computed with in fp32."""
    values = torch.randn(30, dtype=torch.float64)
    assert torch.equal(checked_weights(Path("a.ckpt"), {"w": values})["w"], values.float())
    with pytest.raises(UserError, match="no numbers"):
        checked_weights(Path("a.ckpt"), {"w": values * 1e300})
