"""Averages over boxes and overlaps, against slow oracles that count fine grids."""

from __future__ import annotations

import pytest
import torch

from selfalign.functional import box_averages, box_overlaps, distinct_boxes


def random_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64).sort(dim=1).values
    return corners.flatten(1)


def counted_average(values: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Cell by cell: the area that each shares with the box."""
    channels, height, width = values.shape
    total, area = torch.zeros(channels, dtype=values.dtype), 0.0
    x1, y1, x2, y2 = (box * torch.tensor([width, height, width, height])).tolist()
    for row in range(height):
        for column in range(width):
            shared = max(0, min(x2, column + 1) - max(x1, column)) * max(0, min(y2, row + 1) - max(y1, row))
            total, area = total + values[:, row, column] * shared, area + shared
    return total / area


@pytest.mark.parametrize(("height", "width"), [(7, 7), (1, 1), (3, 11)])
def test_averages_and_gradients_are_those_of_cells_counted_by_area(height: int, width: int) -> None:
    values = torch.randn(5, height, width, dtype=torch.float64, requires_grad=True)
    boxes = torch.cat([random_boxes(20), torch.tensor([[0.0, 0, 1, 1], [0.4, 0.4, 0.41, 0.41]], dtype=torch.float64)])
    found = box_averages(values, boxes)
    expected = torch.stack([counted_average(values, box) for box in boxes])
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((result * weights).sum(), values)[0] for result in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_the_whole_is_the_mean_and_turning_map_and_boxes_changes_nothing() -> None:
    values, boxes = torch.randn(3, 5, 8), random_boxes(9).float()
    torch.testing.assert_close(box_averages(values, torch.tensor([[0.0, 0, 1, 1]]))[0], values.mean(dim=(1, 2)))
    turned = box_averages(values.transpose(1, 2), boxes[:, [1, 0, 3, 2]])
    torch.testing.assert_close(turned, box_averages(values, boxes))
    assert not torch.allclose(box_averages(values.flip(2), boxes), box_averages(values, boxes), atol=1e-3)


@pytest.mark.parametrize("box", [[0.5, 0, 0.5, 1], [0.6, 0, 0.5, 1], [1.0, 0, 2.0, 1], [float("nan"), 0, 1, 1]])
def test_a_box_without_area_on_the_map_is_refused(box: list[float]) -> None:
    with pytest.raises(ValueError, match="every box needs an area"):
        box_averages(torch.ones(1, 2, 2), torch.tensor([box]))


def test_overlaps_are_those_of_points_counted_on_a_fine_grid() -> None:
    boxes = (random_boxes(12) * 200).round() / 200
    places = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    inside = [
        ((places > x1) & (places < x2))[None, :] & ((places > y1) & (places < y2))[:, None]
        for x1, y1, x2, y2 in boxes.tolist()
    ]
    expected = torch.tensor(
        [[((a & b).sum() / (a | b).sum().clamp(min=1)).item() for b in inside] for a in inside], dtype=torch.float64
    )
    torch.testing.assert_close(box_overlaps(boxes, boxes), expected, rtol=0, atol=1e-6)


def test_of_boxes_that_overlap_the_best_stays() -> None:
    boxes, scores = (
        random_boxes(60, seed=3),
        torch.rand(60, generator=torch.Generator().manual_seed(1)).round(decimals=1),
    )
    expected: list[int] = []
    for row in sorted(range(60), key=lambda row: (-scores[row].item(), row)):
        if all(box_overlaps(boxes[row : row + 1], boxes[kept : kept + 1]).item() <= 0.3 for kept in expected):
            expected.append(row)
    assert distinct_boxes(boxes, scores, most=60, overlap=0.3).tolist() == expected
    assert distinct_boxes(boxes, scores, most=4, overlap=0.3).tolist() == expected[:4]
    assert (
        distinct_boxes(boxes, scores, most=60, overlap=1.0).tolist()
        == scores.argsort(descending=True, stable=True).tolist()
    )
    assert distinct_boxes(boxes[:0], scores[:0], most=5, overlap=0.5).tolist() == []
