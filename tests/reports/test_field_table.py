"""Models of the field: figures that add up, marks that a comparison needs, and runs only where the set is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from selfalign.functional.ranks import embedding_tile
from selfalign.metrics.protocols import RetrievalResult, evaluate
from selfalign.reports.field_table import field_markdown, field_rows, field_text, rows_of_runs
from selfalign.reports.published_table import published
from selfalign.runs.reading import read_runs
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.runs.made_runs import write_run

TABLE = published()


def result(images: int, protocol: str = "full") -> RetrievalResult:
    random = torch.Generator().manual_seed(0)
    image = ImageEmbedding(torch.randn(images, 1, 8, generator=random), None)
    caption = CaptionEmbedding(torch.randn(5 * images, 8, generator=random), None)
    return evaluate(embedding_tile(image, caption), torch.arange(5 * images) // 5, images, protocol)


def test_sums_are_those_of_their_recalls_and_every_test_set_has_a_place() -> None:
    rows = field_rows()
    two_towers = [row for row in rows if not row.interactive]
    assert len(two_towers) + len({(row.set, row.name) for row in TABLE.rows if row.recalls is not None}) >= 20
    assert sum(row.recalls is not None for row in rows) == 14
    for row in rows:
        assert list(row.rsums) == list(TABLE.sets)
        assert row.chosen_on in ("dev", "test", None)
        if row.recalls is not None:
            assert row.rsums["Flickr30K"] == pytest.approx(sum(row.recalls), abs=0.11)


def test_marks_are_shown_and_interactive_models_come_last() -> None:
    text = field_text(TABLE, [])
    lines = [line for line in text.splitlines() if line.startswith(("ESA*", "CORA ", "HREM  ", "SCAN*", "IMEB"))]
    assert "reads a parsed scene graph" in lines[2]
    assert " ".join(lines[0].split()) == "HREM BERT 83.3 96.0 98.1 · 63.5 87.1 92.4 520.4 530.8 443.1 test"
    assert lines[1].endswith("dev")
    assert "independence ?" in lines[3]
    assert "interactive" in lines[4]
    assert [row.interactive for row in field_rows()] == sorted(row.interactive for row in field_rows())


def test_a_run_stands_among_them_where_its_test_set_is_theirs(tmp_path: Path) -> None:
    coco = [result(5000), result(5000, "coco_1k_5fold")]
    settings = ("backbone=camera", "data=coco", "loss=baseline")
    mine = write_run(tmp_path / "mine", *settings, seed=3, results=coco, split="testall")
    other = write_run(tmp_path / "small", "backbone=vsrn", "data=f8k", seed=3, results=[result(40)])
    (row,) = rows_of_runs(TABLE, read_runs([mine, other]))
    assert (row.model, row.models, row.chosen_on, row.yours) == ("mine", 1, "dev", True)
    assert row.recalls is None
    assert row.rsums == {"Flickr30K": None, "COCO 1K": coco[1].rsum, "COCO 5K": coco[0].rsum}
    assert f"| mine (yours) | bert-base-uncased | – | – | {coco[1].rsum:.1f} | {coco[0].rsum:.1f} | dev |" in (
        field_markdown(TABLE, read_runs([mine]))
    )
