"""Word contrast: through the regions that it chooses, a word is to tell its own image from the others of the batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from selfalign.functional.masking import RealRows, inner_words
from selfalign.functional.precision import at_least_single
from selfalign.processes.exchange import Processes, Shares

_SCORES_AT_ONCE = 2**20
"""Word × region products that are worked on together."""
_KEPT = 2**24
"""Numbers that the backward pass finds kept, 64 MiB: of all products up to 3,600 words × 128 images × 36 regions."""


def word_scores(words: Tensor, regions: Tensor, region_mask: Tensor | None = None, *, temperature: float) -> Tensor:
    """How well each word is met by the regions of each image (METHOD section 9.1).

    ``z = Σ_r a_r ⟨t, v_r⟩`` with ``a = softmax_r(⟨t, v_r⟩ / temperature)``: the word's similarity with the mean of an
    image's regions, weighted by how much the word is about them. The K·N·R products are made some images at a
    time. What the backward pass needs of them is kept up to a limit, and made again beyond it.

    Args:
        words: (K, D).
        regions: (N, R, D).
        region_mask: (N, R) bool, regions that count, at least one of each image; ``None`` for all.
        temperature: of the attention.

    Returns:
        (K, N), in fp32 at least.
    """
    kind = torch.get_autocast_dtype(words.device.type) if torch.is_autocast_enabled(words.device.type) else words.dtype
    with torch.autocast(words.device.type, enabled=False):
        return _WordScores.apply(words.to(kind), regions.to(kind), region_mask, temperature)


def word_contrast(
    scores: Tensor, captions: Tensor, own: Tensor, image_ids: Tensor, total: int, *, temperature: float
) -> Tensor:
    """``−log softmax_b(z(w, b) / τ)`` of a word's own image b, mean over a caption's words, then over the captions.

    Args:
        scores: (K, N), :func:`word_scores` of the K words of some captions.
        captions: (K,) caption of each word, from 0.
        own: (C,) row of each of these captions' image among the N.
        image_ids: (N,); images with the id of the own one are left out.
        total: captions that the mean counts, C or more; those without words count 0.
        temperature: τ.
    """
    row = own[captions]  # (K,)
    same = image_ids[row][:, None] == image_ids[None, :]  # (K, N)
    right = row[:, None] == torch.arange(len(image_ids), device=row.device)
    logits = (scores / temperature).masked_fill(same & ~right, -torch.inf)
    terms = torch.logsumexp(logits, dim=1) - logits.gather(1, row[:, None])[:, 0]  # (K,)
    counts = torch.zeros_like(own).index_add(0, captions, torch.ones_like(captions))
    return (terms / counts[captions]).sum() / total


def image_contrast(scores: Tensor, image_ids: Tensor, worded: Tensor, *, temperature: float) -> Tensor:
    """``−log softmax_i(s(i, b) / τ)`` of an image's own caption i = b, mean over the images.

    Args:
        scores: (B, B), captions × images, :func:`word_scores` averaged over the words of each caption.
        image_ids: (B,); other captions of the same image are left out.
        worded: (B,) bool, captions that have words; the others are no answers, and their images ask nothing.
        temperature: τ.
    """
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    same = image_ids[:, None] == image_ids[None, :]
    logits = (scores / temperature).masked_fill((same | ~worded[:, None]) & ~own, -torch.inf)
    terms = torch.logsumexp(logits, dim=0) - logits.diagonal()  # (B,)
    return terms.masked_fill(~worded, 0.0).sum() / len(scores)


def word_region_contrast(
    regions: Tensor,
    words: Tensor,
    mask: Tensor,
    image_ids: Tensor,
    shares: Shares,
    region_mask: Tensor | None = None,
    counts: Tensor | None = None,
    *,
    attention_temperature: float = 0.1,
    temperature: float = 0.1,
    image_share: float = 0.5,
) -> Tensor:
    """Words against images and images against captions, through attention over regions; gradient into both towers.

    Contrast of a word over the images of the batch, as in InfoGround, plus the image → caption direction of the
    captions' mean scores (METHOD section 9.1).

    Args:
        regions: (B, R, D) of this process, unit length over D.
        words: (B, W, D), unit length over D; row i describes image i.
        mask: (B, W) bool, words that count.
        image_ids: (B,).
        shares: how the pairs of the batch are shared out; each process scores its own words with all images.
        region_mask: (B, R) bool, real regions; ``None`` for all.
        counts: (B,) words of each caption that count, on the host, see :class:`RealRows`.
        attention_temperature: of a word's attention over the regions of an image.
        temperature: τ of both contrasts.
        image_share: share of the image → caption direction in the loss, 0 to 1.

    Returns:
        a scalar, what this process contributes, see :class:`Shares`.
    """
    every, processes = shares.total, shares.processes
    start = sum(shares.rows[: processes.rank])
    own = torch.arange(start, start + len(words), device=words.device)
    ids = shares.gather(image_ids)
    rows = RealRows(mask.shape, mask, counts)
    caption = rows.samples(mask.device)  # (K,)
    real = None if region_mask is None else shares.gather(region_mask)
    every_region = shares.gather_parts(regions)
    scores = word_scores(rows.take(words), every_region, real, temperature=attention_temperature)
    with torch.autocast(words.device.type, enabled=False):
        by_word = word_contrast(scores, caption, own, ids, every, temperature=temperature) * processes.size
        if image_share == 0:
            return by_word
        held = mask.sum(dim=1)  # (B,)
        summed = torch.zeros(len(words), every, dtype=scores.dtype, device=scores.device)
        means = summed.index_add(0, caption, scores) / held.clamp_min(1)[:, None]  # (own captions, B)
        by_image = image_contrast(shares.gather(means), ids, shares.gather(held > 0), temperature=temperature)
        return (1 - image_share) * by_word + image_share * by_image


class WordContrastLoss(nn.Module):
    """See :func:`word_region_contrast`; of a caption's tokens, the first and the last, which are special, do not count.

    Args:
        attention_temperature, temperature, image_share: as there.
    """

    reduction = "shared"

    def __init__(self, attention_temperature: float = 0.1, temperature: float = 0.1, image_share: float = 0.5) -> None:
        super().__init__()
        for name, value in (("attention_temperature", attention_temperature), ("temperature", temperature)):
            if value <= 0:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if not 0 <= image_share <= 1:
            raise ValueError(f"image_share: expected 0 to 1, got {image_share}")
        self.attention_temperature = attention_temperature
        self.temperature = temperature
        self.image_share = image_share

    def forward(
        self,
        regions: Tensor,
        words: Tensor,
        mask: Tensor,
        image_ids: Tensor,
        shares: Shares | None = None,
        region_mask: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Loss of B pairs: ``regions`` (B, R, D), ``words`` (B, W, D) of unit length, ``mask`` (B, W) real tokens.

        Regions outside (B, R) ``region_mask``, if there is one, are none. ``counts`` (B,) are the real tokens of each
        caption, on the host, see :class:`RealRows`.
        """
        return word_region_contrast(
            regions,
            words,
            inner_words(mask),
            image_ids,
            shares or Shares(Processes(), (len(words),)),
            region_mask,
            None if counts is None else (counts - 2).clamp_min(0),
            attention_temperature=self.attention_temperature,
            temperature=self.temperature,
            image_share=self.image_share,
        )


def _slopes(words: Tensor, regions: Tensor, mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
    """Scores (K, n) of n images, and how they change with each of their products (K, n, R), in fp32 at least.

    ``∂z / ∂⟨t, v_r⟩ = a_r (1 + (⟨t, v_r⟩ − z) / temperature)``.
    """
    products = at_least_single((words @ regions.flatten(0, 1).mT).unflatten(1, regions.shape[:2]))
    logits = products / temperature
    attention = torch.softmax(logits if mask is None else logits.masked_fill_(~mask, -torch.inf), dim=-1)
    scores = (attention * products).sum(dim=-1)
    return scores, products.sub_(scores[..., None]).div_(temperature).add_(1).mul_(attention)


class _WordScores(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, words: Tensor, regions: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
        size, space = _images_at_once(words, regions), _KEPT
        scores, kept = [], []
        for part, real in _parts(regions, mask, size):
            found, slopes = _slopes(words, part, real, temperature)
            scores.append(found)
            space -= slopes.numel()
            if space >= 0:
                kept.append(slopes)
        context.save_for_backward(words, regions, mask, *kept)
        context.temperature, context.size = temperature, size
        return torch.cat(scores, dim=1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        words, regions, mask, *kept = context.saved_tensors
        word_gradient = torch.zeros_like(words, dtype=gradients[0].dtype)
        region_gradient = torch.empty_like(regions)
        parts = zip(
            _parts(regions, mask, context.size),
            gradients[0].split(context.size, dim=1),
            region_gradient.split(context.size),
            strict=True,
        )
        for number, ((part, real), gradient, place) in enumerate(parts):
            slopes = kept[number] if number < len(kept) else _slopes(words, part, real, context.temperature)[1]
            steep = (slopes * gradient[..., None]).flatten(1).to(words.dtype)  # (K, n·R)
            word_gradient += steep @ part.flatten(0, 1)
            place.copy_((steep.mT @ words).view_as(place))
        return word_gradient.to(words.dtype), region_gradient, None, None


def _images_at_once(words: Tensor, regions: Tensor) -> int:
    return max(1, _SCORES_AT_ONCE // max(1, len(words) * regions.shape[1]))


def _parts(regions: Tensor, mask: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """``size`` images at a time, with their mask."""
    masks = itertools.repeat(None) if mask is None else mask.split(size)
    return zip(regions.split(size), masks, strict=False)
