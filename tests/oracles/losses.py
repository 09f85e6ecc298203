"""Slow float64 losses, loop by loop from the method's words; they share no code with the package."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dot(first: Tensor, second: Tensor) -> Tensor:
    total = torch.zeros((), dtype=first.dtype)
    for left, right in zip(first, second, strict=True):
        total = total + left * right
    return total


def ranking(similarity: Tensor, margin: float) -> Tensor:
    total = torch.zeros((), dtype=similarity.dtype)
    size = len(similarity)
    for query in range(size):
        right = similarity[query, query]
        captions = [margin + similarity[query, other] - right for other in range(size) if other != query]
        images = [margin + similarity[other, query] - right for other in range(size) if other != query]
        for costs in (captions, images):
            worst = max(costs, key=float, default=torch.zeros(()))
            if float(worst) > 0:
                total = total + worst
    return total


def sinkhorn(scores: Tensor, temperature: float, iterations: int) -> Tensor:
    samples, prototypes = scores.shape
    mass = [[math.exp(float(scores[i, p]) / temperature) for p in range(prototypes)] for i in range(samples)]
    everything = sum(map(sum, mass))
    mass = [[value / everything for value in row] for row in mass]
    for _ in range(iterations):
        columns = [sum(row[p] for row in mass) for p in range(prototypes)]
        mass = [[row[p] / columns[p] / prototypes for p in range(prototypes)] for row in mass]
        mass = [[value / sum(row) / samples for value in row] for row in mass]
    return torch.tensor(mass, dtype=torch.float64) * samples


def concept(
    regions: Tensor,
    words: Tensor,
    lengths: list[int],
    prototypes: Tensor,
    teacher: float,
    student: float,
    counts: list[int] | None = None,
) -> Tensor:
    """``counts``: how many regions of each image there are."""
    pairs = len(regions)
    own = [list(regions[pair, : None if counts is None else counts[pair]]) for pair in range(pairs)]
    flat = torch.stack([region.detach() for image in own for region in image])
    rows = iter(sinkhorn(flat @ prototypes.detach().T, teacher, 2))
    assignments = [[next(rows) for _ in image] for image in own]
    captions = []
    for pair in range(pairs):
        terms = []
        for word in words[pair, : lengths[pair]]:
            similarities = [float(dot(word, region)) for region in own[pair]]
            target = assignments[pair][similarities.index(max(similarities))]
            logits = torch.stack([dot(word, prototype) / student for prototype in prototypes])
            log_total = torch.log(sum(torch.exp(logit) for logit in logits))
            terms.append(-sum(target[p] * (logits[p] - log_total) for p in range(len(prototypes))))
        captions.append(sum(terms) / len(terms))
    return sum(captions) / pairs


def context_one_way(queries: Tensor, keys: Tensor, lengths: list[int], temperature: float, negatives: int) -> Tensor:
    samples = []
    for query, vector in enumerate(queries):
        others = [
            dot(vector, keys[other, place]) / temperature
            for other in range(len(keys))
            if other != query
            for place in range(lengths[other])
        ]
        hardest = sorted(others, key=float, reverse=True)[:negatives]
        bottom = sum(torch.exp(score) for score in hardest)
        terms = []
        for place in range(lengths[query]):
            top = torch.exp(dot(vector, keys[query, place]) / temperature)
            terms.append(-torch.log(top / (top + bottom)))
        samples.append(sum(terms) / len(terms))
    return sum(samples) / len(samples)


def diversity(scores: Tensor) -> Tensor:
    total = torch.zeros((), dtype=scores.dtype)
    for sample in scores:
        columns = [sample[:, view] / torch.sqrt((sample[:, view] ** 2).sum()) for view in range(sample.shape[1])]
        for first, left in enumerate(columns):
            for second, right in enumerate(columns):
                total = total + (dot(left, right) - (1.0 if first == second else 0.0)) ** 2
    return total


def captioning(logits: Tensor, captions: list[list[int]], maximum: int) -> Tensor:
    """``captions`` as ids without padding; the pad after a caption counts where there is room for it."""
    total = torch.zeros((), dtype=logits.dtype)
    for row, caption in enumerate(captions):
        wanted = [*caption, 0][:maximum]
        for step, token in enumerate(wanted[1:]):
            log_total = torch.log(torch.exp(logits[row, step]).sum())
            total = total - (logits[row, step, token] - log_total)
    return total / len(captions)


def cross_entropy(logits: list[Tensor], right: list[int]) -> Tensor:
    """Mean over the ``right`` places of the negative log-share of each among the ``logits``."""
    total = sum(torch.exp(logit) for logit in logits)
    return sum(-torch.log(torch.exp(logits[place]) / total) for place in right) / len(right)


def infonce(similarity: Tensor, temperature: float, images: list[int], same_image: str) -> Tensor:
    total, size = torch.zeros((), dtype=similarity.dtype), len(similarity)
    for rows in (similarity, similarity.T):
        for query in range(size):
            kin = [other for other in range(size) if images[other] == images[query]]
            counted = [o for o in range(size) if o == query or o not in kin or same_image != "masked"]
            right = kin if same_image == "positive" else [query]
            logits = [rows[query, other] / temperature for other in counted]
            total = total + 0.5 * cross_entropy(logits, [counted.index(other) for other in right]) / size
    return total


def word_score(word: Tensor, regions: list[Tensor], temperature: float) -> Tensor:
    weights = [torch.exp(dot(word, region) / temperature) for region in regions]
    context = sum(weight * region for weight, region in zip(weights, regions, strict=True)) / sum(weights)
    return dot(word, context)


def word_region(
    regions: Tensor,
    words: Tensor,
    spans: list[range],
    images: list[int],
    attention: float,
    temperature: float,
    counts: list[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Words against images and images against captions; ``spans`` are the places of each caption's words, ``counts``
    how many regions of each image there are."""
    size, nothing = len(regions), torch.zeros((), dtype=regions.dtype)
    own = [list(regions[b, : None if counts is None else counts[b]]) for b in range(size)]
    scores = [
        [[word_score(words[i, j], own[b], attention) for b in range(size)] for j in spans[i]] for i in range(size)
    ]
    by_word, by_image = nothing, nothing
    for i in range(size):
        counted = [b for b in range(size) if b == i or images[b] != images[i]]
        for of_word in scores[i]:
            logits = [of_word[b] / temperature for b in counted]
            by_word = by_word + cross_entropy(logits, [counted.index(i)]) / len(scores[i]) / size
    for b in range(size):
        if not scores[b]:
            continue
        counted = [i for i in range(size) if i == b or (images[i] != images[b] and scores[i])]
        logits = [sum(of_word[b] for of_word in scores[i]) / len(scores[i]) / temperature for i in counted]
        by_image = by_image + cross_entropy(logits, [counted.index(b)]) / size
    return by_word, by_image
