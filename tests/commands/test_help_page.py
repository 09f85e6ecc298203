"""``--help`` of the programs of Hydra: what can be chosen, and all settings with their values."""

from __future__ import annotations

import pytest

from selfalign.commands.help_page import help_page
from selfalign.errors import UserError
from selfalign.settings import BACKBONES, RANKING_LOSSES


def test_it_lists_groups_and_settings_as_they_would_be() -> None:
    page = help_page(["backbone=vsrn", "training.epochs=7", "--help"], "train")
    assert page is not None
    lines = page.splitlines()
    assert f"backbone: {', '.join(sorted(row.name for row in BACKBONES))}" in lines
    assert f"loss/ranking: {', '.join(sorted(row.name for row in RANKING_LOSSES))}" in lines
    assert "  name: vsrn" in lines
    assert "  epochs: 7" in lines
    assert not any(line.startswith(("hydra", "recipe/of", "debug/size")) for line in lines)


def test_evaluation_has_a_page_of_its_own() -> None:
    page = help_page(["-h"], "eval")
    assert page is not None
    assert "save_answers: 0" in page.splitlines()


def test_without_the_question_there_is_no_page() -> None:
    assert help_page(["backbone=vsrn"], "train") is None
    assert help_page(["--hydra-help"], "train") is None


def test_a_wrong_choice_is_one_line() -> None:
    with pytest.raises(UserError, match="expected one of camera"):
        help_page(["backbone=x", "--help"], "train")
