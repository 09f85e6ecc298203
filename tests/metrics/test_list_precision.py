"""Precision of ordered lists, by hand."""

from __future__ import annotations

import pytest

from selfalign.metrics.list_precision import ListPrecision, list_precision


@pytest.mark.parametrize(
    ("answers", "right", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], ListPrecision(1, 1, 1)),
        ([3, 1, 2], [1, 2, 3], ListPrecision(1, 1, 1)),
        ([4, 1, 2, 3], [1, 2, 3], ListPrecision((0 + 1 / 2 + 2 / 3) / 3, 2 / 3, 0)),
        ([1, 4, 5, 2, 3], [1, 2, 3], ListPrecision(1 / 3, 1 / 3, 1)),
        ([4, 5, 6, 1, 2, 3], [1, 2, 3], ListPrecision(0, 0, 0)),
    ],
)
def test_only_the_first_places_count_as_many_as_there_are_right_answers(
    answers: list[int], right: list[int], expected: ListPrecision
) -> None:
    found = list_precision(answers, right)
    assert (found.map_at_r, found.r_precision, found.r1) == pytest.approx(
        (expected.map_at_r, expected.r_precision, expected.r1), abs=1e-12
    )


@pytest.mark.parametrize(("answers", "right"), [([1], [1, 2]), ([1], [])])
def test_what_cannot_be_measured_is_refused(answers: list[int], right: list[int]) -> None:
    with pytest.raises(ValueError, match="expected at least as many as right ones"):
        list_precision(answers, right)
