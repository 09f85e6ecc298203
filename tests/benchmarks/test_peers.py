"""The algorithms that ours is compared with find the same recalls; otherwise their times would mean nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.peers import PEERS, Gallery, Recalls, by_torchmetrics, gallery, measured


def test_every_peer_finds_the_same_recalls() -> None:
    pytest.importorskip("faiss")
    costs = measured(gallery(60, 16, 3.0), {**PEERS, "torchmetrics": by_torchmetrics}, rounds=1)
    first = costs["ours"].recalls
    assert 5 < first[0] < first[2] < 100
    assert {name: cost.recalls == pytest.approx(first, abs=1e-4) for name, cost in costs.items()} == dict.fromkeys(
        costs, True
    )


def test_another_recall_is_no_benchmark() -> None:
    def wrong(of: Callable[[Gallery], Recalls]) -> Callable[[Gallery], Recalls]:
        return lambda given: (of(given)[0] + 1, *of(given)[1:])

    with pytest.raises(AssertionError, match="others"):
        measured(gallery(30, 8), {"ours": PEERS["ours"], "wrong": wrong(PEERS["ours"])}, rounds=1)
