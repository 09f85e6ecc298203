"""Concept alignment: a word is to choose the prototype that its region was assigned to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.functional.masking import RealRows, among_real
from selfalign.functional.normalize import l2_normalize
from selfalign.functional.sinkhorn import sinkhorn
from selfalign.processes.exchange import ALONE, Processes


def concept_alignment(
    words: Tensor,
    mask: Tensor,
    regions: Tensor,
    assignments: Tensor,
    prototypes: Tensor,
    region_mask: Tensor | None = None,
    counts: Tensor | None = None,
    *,
    temperature: float = 0.1,
) -> Tensor:
    """Cross-entropy between a word's prototypes and the assignment of its most similar region.

    The authors' LCA (METHOD section 6). Sends no gradient into ``regions``.

    Args:
        words: (B, W, D), unit length over D.
        mask: (B, W) bool, real words.
        regions: (B, R, D), unit length over D; row i is the image that caption i describes.
        assignments: (B, R, P), the teacher's, rows summing to 1.
        prototypes: (P, D), unit rows.
        region_mask: (B, R) bool, real regions; ``None`` for all.
        counts: (B,) real words of each caption, on the host, see :class:`RealRows`.
        temperature: of the student, 0.1 as published.

    Returns:
        a scalar: mean over each caption's words, then over the captions.

    Example:
        >>> words = regions = prototypes = torch.eye(2)
        >>> assignments = torch.eye(2)[None]  # each region has a prototype of its own
        >>> loss = concept_alignment(words[None], torch.ones(1, 2).bool(), regions[None], assignments, prototypes)
        >>> bool(loss < 1e-4)  # every word chooses the prototype of its region
        True
    """
    with torch.autocast(words.device.type, enabled=False):
        rows = RealRows(mask.shape, mask, counts)
        words, prototypes = words.to(assignments.dtype), prototypes.to(assignments.dtype)
        with torch.no_grad():
            chosen = among_real(words @ regions.to(words.dtype).mT, region_mask).argmax(dim=-1)  # (B, W)
            pair = rows.samples(mask.device)  # (K,) of the K real words
            target = assignments[pair, rows.take(chosen)]  # (K, P)
            share = 1 / (mask.sum(dim=1)[pair] * len(mask)).to(words.dtype)  # (K,)
        student = torch.log_softmax(rows.take(words) @ (prototypes / temperature).mT, dim=-1)  # (K, P)
        return -((target * student).sum(dim=-1) * share).sum()


class ConceptAlignmentLoss(nn.Module):
    """Prototypes shared by both modalities, and the loss of :func:`concept_alignment` against their assignments.

    Args:
        width: D.
        prototypes: P, 1024 as published.
        teacher_temperature: of Sinkhorn, 0.05 as published.
        student_temperature: of the words' softmax, 0.1 as published.
        iterations: of Sinkhorn, 2 as published.
    """

    reduction = "mean"

    def __init__(
        self,
        width: int,
        prototypes: int = 1024,
        teacher_temperature: float = 0.05,
        student_temperature: float = 0.1,
        iterations: int = 2,
    ) -> None:
        super().__init__()
        for name, value in (
            ("prototypes", prototypes),
            ("teacher_temperature", teacher_temperature),
            ("student_temperature", student_temperature),
            ("iterations", iterations),
        ):
            if value <= 0:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        self.prototypes = nn.Parameter(nn.Linear(width, prototypes, bias=False).weight.detach())
        self.teacher_temperature = teacher_temperature
        self.student_temperature = student_temperature
        self.iterations = iterations

    @torch.no_grad()
    def assign(
        self,
        regions: Tensor,
        processes: Processes = ALONE,
        mask: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> Tensor:
        """(B, R, P): the teacher's assignments of (B, R, D) regions, made with those of all processes at once.

        Regions outside (B, R) ``mask`` take no part, and their assignments are zeros. ``counts``: of it, on the host.
        """
        with torch.autocast(regions.device.type, enabled=False):
            rows = RealRows(regions.shape[:2], mask, counts)
            scores = rows.take(regions.to(self.prototypes.dtype)) @ self.prototypes.mT  # (K, P)
            assignments = sinkhorn(
                scores, temperature=self.teacher_temperature, iterations=self.iterations, processes=processes
            )
        return rows.put(assignments)

    def forward(
        self,
        regions: Tensor,
        words: Tensor,
        mask: Tensor,
        processes: Processes = ALONE,
        region_mask: Tensor | None = None,
        counts: Tensor | None = None,
        region_counts: Tensor | None = None,
    ) -> Tensor:
        """Loss of B pairs: ``regions`` (B, R, D) and ``words`` (B, W, D) of unit length, ``mask`` (B, W).

        Regions outside (B, R) ``region_mask``, if there is one, are none. ``counts`` and ``region_counts`` (B,) are
        those of the masks, on the host, see :class:`RealRows`.

        With several ``processes`` it is the mean over this one's pairs; the assignments see the regions of all.
        """
        with torch.no_grad():
            self.prototypes.copy_(l2_normalize(self.prototypes, dim=-1))
        assignments = self.assign(regions, processes, region_mask, region_counts)
        return concept_alignment(
            words,
            mask,
            regions,
            assignments,
            self.prototypes,
            region_mask,
            counts,
            temperature=self.student_temperature,
        )
