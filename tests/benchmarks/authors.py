"""The authors' algorithms, from METHOD's words and as slow as theirs; right, but nobody should use them.

Loops over pairs and captions, negatives expanded for every positive, a decoder that always runs 60 steps, a sort for
every query. Of the routines that they are compared with they share the parameters only.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from selfalign.functional.masking import RealRows

_DECODER_STEPS = 60


def concept_alignment(
    regions: Tensor, words: Tensor, lengths: list[int], prototypes: Tensor, student: float = 0.1, teacher: float = 0.05
) -> Tensor:
    """Every word against every prototype, padding too; Sinkhorn over all regions; then a loop over the pairs."""
    logits = words @ prototypes.T / student  # (B, W, P)
    with torch.no_grad():
        mass = torch.exp(regions.flatten(0, 1) @ prototypes.T / teacher).T  # (P, B·R)
        count, samples = mass.shape
        mass = mass / mass.sum()
        for _ in range(2):
            mass = mass / mass.sum(dim=1, keepdim=True) / count
            mass = mass / mass.sum(dim=0, keepdim=True) / samples
        assignments = (mass * samples).T.reshape(*regions.shape[:2], -1)
    losses = []
    for pair, length in enumerate(lengths):
        chosen = (words[pair, :length] @ regions[pair].T).argmax(dim=1)
        scores = torch.log_softmax(logits[pair, :length], dim=1)
        losses.append(-(assignments[pair][chosen] * scores).sum(dim=1).mean())
    return torch.stack(losses).mean()


def context_alignment(
    queries: Tensor, keys: Tensor, counts: Tensor, temperature: float = 0.7, negatives: int = 512
) -> Tensor:
    """One direction; every positive is put before all negatives, and then picks the hardest of them anew."""
    size, width, _ = keys.shape
    scores = torch.einsum("qd,bnd->qbn", queries, keys) / temperature  # (B, B, n)
    own = torch.eye(size, dtype=torch.bool, device=keys.device)
    positives = scores[own]  # (B, n)
    others = scores.masked_fill(own[..., None] | ~counts[None], -torch.inf).flatten(1)
    expanded = others[:, None].expand(-1, width, -1)  # (B, n, B·n)
    logits = torch.cat([positives[..., None], expanded], dim=2)
    if negatives < expanded.shape[2]:
        hardest = expanded.topk(negatives, dim=2).values
        logits = torch.cat([positives[..., None], hardest], dim=2)
    terms = -torch.log_softmax(logits, dim=2)[..., 0]
    return ((terms * counts).sum(dim=1) / counts.sum(dim=1)).mean()


def multi_view_similarity(views: Tensor, captions: Tensor) -> Tensor:
    """(N, M) from (N, V, D) and (M, D): every caption in turn, spread out over the images."""
    columns = []
    for caption in captions:
        spread = caption.expand(len(views), 1, -1)  # (N, 1, D)
        columns.append((spread @ views.transpose(1, 2))[:, 0].max(dim=1).values)
    return torch.stack(columns, dim=1)


def order(scores: np.ndarray) -> np.ndarray:
    """All answers of a query, best first."""
    return np.argsort(scores)[::-1]


def retrieval_ranks(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from 0, five captions an image: a sort for every query."""
    images, captions = similarity.shape
    i2t = np.zeros(images)
    for image in range(images):
        found = order(similarity[image])
        i2t[image] = min(np.where(found == caption)[0][0] for caption in range(5 * image, 5 * image + 5))
    t2i = np.zeros(captions)
    for caption in range(captions):
        t2i[caption] = np.where(order(similarity[:, caption]) == caption // 5)[0][0]
    return i2t, t2i


def captioning(captioner: nn.Module, graph: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """The captioner's loss with 60 steps whatever the captions need, and the whole attention at every step.

    Args:
        captioner: a :class:`selfalign.losses.caption_decoder.RegionCaptioner`, for its parameters.
        graph: (B, R, D).
        tokens: (B, 61) ids, padded.
        mask: (B, 61), tokens that count.
    """
    regions, last = captioner.region_rnn(captioner.dropout(captioner.project(graph)))
    hidden, logits = last[0], []
    attention = torch.cat([captioner.attention_key.weight, captioner.attention_query.weight], dim=1)  # (H, 2·H)
    for step in range(_DECODER_STEPS):
        both = torch.cat([regions, hidden[:, None].repeat(1, regions.shape[1], 1)], dim=2)  # (B, R, 2·H)
        energy = captioner.attention_score(
            torch.tanh(nn.functional.linear(both, attention, captioner.attention_key.bias))
        )
        context = torch.bmm(torch.softmax(energy, dim=1).transpose(1, 2), regions)[:, 0]
        word = captioner.embedding(tokens[:, step])
        hidden = captioner.word_rnn(captioner.dropout(torch.cat([word, context], dim=1)), hidden)
        logits.append(torch.log_softmax(captioner.output(hidden), dim=1))
    scores = torch.stack(logits, dim=1)  # (B, 60, vocabulary)
    picked = scores.gather(2, tokens[:, 1:, None])[..., 0]
    return -(picked * mask[:, 1:]).sum() / len(graph)


def graph_block(block: nn.Module, regions: Tensor) -> Tensor:
    """VSRN's graph block as 1×1 convolutions, four of them over all regions; (B, R, D) → (B, R, D).

    Args:
        block: a :class:`selfalign.backbones.graph_reasoning.GraphReasoning`, for its parameters.
        regions: (B, R, D).
    """
    channels = regions.transpose(1, 2)  # (B, D, R)

    def convolved(layer: nn.Module, values: Tensor) -> Tensor:
        return nn.functional.conv1d(values, layer.weight[..., None], layer.bias)

    message = convolved(block.message, channels)
    affinity = convolved(block.query, channels).transpose(1, 2) @ convolved(block.key, channels) / regions.shape[1]
    received = convolved(block.output, (affinity @ message.transpose(1, 2)).transpose(1, 2))
    return block.output_norm(received.transpose(1, 2)) + regions


def gated_attention(layer: nn.Module, inputs: Tensor, residual: Tensor, rows: RealRows) -> Tensor:
    """CAMERA's gated self-attention with its weights written out; (K, D) → (K, D), padding included.

    Args:
        layer: a :class:`selfalign.backbones.gated_attention.GatedSelfAttention`, for its parameters.
        inputs, residual: (K, D) of all rows.
        rows: their shape.
    """
    query, key, value = (
        project(inputs).view(*rows.shape, layer.heads, -1).transpose(1, 2)  # (B, heads, n, d)
        for project in (layer.query, layer.key, layer.value)
    )
    width = query.shape[-1]
    gates = torch.sigmoid(layer.gate(layer.gate_query(query) * layer.gate_key(key)))
    query, key = query * gates[..., :width], key * gates[..., width:]
    weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(width), dim=-1)  # (B, heads, n, n)
    attended = (weights @ value).transpose(1, 2).reshape(len(inputs), -1)
    return layer.norm(attended) + residual


def ranking(similarity: Tensor, margin: float = 0.2) -> Tensor:
    """Both hinge matrices, their diagonals cleared, the largest of each row and column."""
    right = similarity.diag()[:, None]
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    captions = (margin + similarity - right.expand_as(similarity)).clamp(min=0).masked_fill(own, 0)
    images = (margin + similarity - right.T.expand_as(similarity)).clamp(min=0).masked_fill(own, 0)
    return captions.max(1).values.sum() + images.max(0).values.sum()
