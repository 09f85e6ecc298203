"""The algorithms that ours is compared with find the same recalls; otherwise their times would mean nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.peers import PEERS, Gallery, Recalls, by_torchmetrics, gallery, measured


@pytest.mark.parametrize("name", [*PEERS, "torchmetrics"])
def test_every_peer_finds_the_same_recalls(name: str) -> None:
    if name.startswith("faiss"):
        pytest.importorskip("faiss")
    given, peers = gallery(60, 16, 3.0), {**PEERS, "torchmetrics": by_torchmetrics}
    costs = measured(given, {"ours": peers["ours"], name: peers[name]}, rounds=1)
    assert 5 < costs[name].recalls[0] < costs[name].recalls[2] < 100
    assert costs[name].recalls == pytest.approx(costs["ours"].recalls, abs=1e-4)


def test_another_recall_is_no_benchmark() -> None:
    def wrong(of: Callable[[Gallery], Recalls]) -> Callable[[Gallery], Recalls]:
        return lambda given: (of(given)[0] + 1, *of(given)[1:])

    with pytest.raises(AssertionError, match="others"):
        measured(gallery(30, 8), {"ours": PEERS["ours"], "wrong": wrong(PEERS["ours"])}, rounds=1)
