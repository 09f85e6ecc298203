"""What differs between text encoders of the BERT family, and the words that all of them give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Architecture:
    """A type of model of transformers.

    Attributes:
        pooler: it is built without the part that makes one vector of a sentence, which nothing here reads.
        after_padding: positions count from the padding's id on, so that this many fewer are left for words.
        windows: its attention takes a mask for each pair of words, and nothing else limits what a word sees.
    """

    pooler: bool = False
    after_padding: bool = False
    windows: bool = False


ARCHITECTURES = {
    "bert": Architecture(pooler=True, windows=True),
    "roberta": Architecture(pooler=True, after_padding=True, windows=True),
    "camembert": Architecture(pooler=True, after_padding=True, windows=True),
    "xlm-roberta": Architecture(pooler=True, after_padding=True, windows=True),
    "mpnet": Architecture(pooler=True, after_padding=True, windows=True),
    "albert": Architecture(pooler=True, windows=True),
    "distilbert": Architecture(windows=True),
    "electra": Architecture(windows=True),
    "modernbert": Architecture(windows=True),
    "clip_text_model": Architecture(),  # a word sees those before it only
}
"""By ``model_type``; any other one works, too, whose output has a ``last_hidden_state``, without a window."""
_TEXT_PARTS = {"clip": "clip_text_model"}
"""Models of texts and images, of which the texts' part is used."""


def architecture(model_type: str) -> Architecture:
    """What is known of a type of model."""
    return ARCHITECTURES.get(model_type, Architecture())


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The settings of the text encoder in a model, which is mostly the model itself."""
    return config.text_config if config.model_type in _TEXT_PARTS else config


def positions(config: PreTrainedConfig) -> int | None:
    """How many tokens a model takes, special ones counted; ``None`` where nothing limits them."""
    most = getattr(config, "max_position_embeddings", None)
    if most is None or not architecture(config.model_type).after_padding:
        return most
    return int(most) - (config.pad_token_id or 0) - 1


def require_tokens(config: PreTrainedConfig, vocabulary_size: int, pad_id: int, maximum_length: int) -> None:
    """Refuse a tokenizer that gives tokens which a model does not have.

    Raises:
        ValueError: naming what does not fit.
    """
    if vocabulary_size > config.vocab_size:
        raise ValueError(
            f"source: its tokenizer has {vocabulary_size:,} tokens, its model {config.vocab_size:,}; they are of "
            "different models"
        )
    most = positions(config)
    if most is not None and maximum_length > most:
        raise ValueError(f"maximum_length: expected at most {most}, the positions of the model, got {maximum_length}")
    if architecture(config.model_type).after_padding and config.pad_token_id != pad_id:
        raise ValueError(
            f"source: the tokenizer fills captions with token {pad_id}, the model counts positions from token "
            f"{config.pad_token_id}; they are of different models"
        )


def require_encoder_options(
    encoder: PreTrainedModel,
    *,
    frozen: bool,
    dropout: bool,
    window: int | None,
    concept_layer: int | None,
    gradient_checkpointing: bool,
) -> None:
    """Refuse options that a text encoder cannot follow, or that would change nothing.

    Raises:
        ValueError: naming the option.
    """
    config = encoder.config
    kind = config.model_type
    if window is not None and window < 1:
        raise ValueError(f"bert.window: expected at least 1 neighbour, got {window}")
    if window is not None and not architecture(kind).windows:
        raise ValueError(f"bert.window: {kind} has none; expected null, got {window}")
    local = getattr(config, "local_attention", None)
    if window is not None and local is not None and window > local // 2:
        raise ValueError(f"bert.window: expected at most {local // 2}, which is {kind}'s own, got {window}")
    layers = config.num_hidden_layers
    if concept_layer is not None and not 0 <= concept_layer <= layers:
        raise ValueError(
            f"bert.concept_layer: expected 0 (the words before any layer) to {layers}, the last, got {concept_layer}"
        )
    if not gradient_checkpointing:
        return
    if not encoder.supports_gradient_checkpointing:
        raise ValueError(f"bert.gradient_checkpointing: {kind} has none; expected false")
    if frozen or not dropout:
        raise ValueError(
            "bert.gradient_checkpointing: needs frozen=false dropout=true; a frozen encoder keeps nothing for a "
            "gradient, and transformers checkpoints only models in training mode"
        )


def compute_again(encoder: PreTrainedModel) -> None:
    """Let a model compute its layers again for the gradient, in place of keeping them."""
    getattr(encoder, "activation_checkpointing_enable", encoder.gradient_checkpointing_enable)()  # the newer name


def encoded_words(
    encoder: PreTrainedModel, tokens: Tensor, attention: Tensor | None, layer: int | None = None
) -> Tensor:
    """(B, W, E) words of the last layer, or (B, W, 2·E) with those of another layer behind them.

    Args:
        encoder: a text encoder.
        tokens: (B, W) ids.
        attention: (B, W) 1 for real words, or (B, 1, W, W) to add to the attention's scores; ``None``: all see all.
        layer: the other one: 0 before any layer, L after the last, whose words are those of the output.
    """
    if layer is None:
        return encoder(input_ids=tokens, attention_mask=attention).last_hidden_state
    output = encoder(input_ids=tokens, attention_mask=attention, output_hidden_states=True)
    last = output.last_hidden_state
    states = output.hidden_states
    other = last if layer == len(states) - 1 else states[layer]  # some models norm the last one afterwards
    return torch.cat([last, other], dim=-1)


def embedding_width(bert: PreTrainedModel) -> int:
    """Width of a BERT-family model's input embeddings."""
    weight = bert.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.shape[1]


def attention_mask(encoder: PreTrainedModel, mask: Tensor, counts: Tensor, window: int | None = None) -> Tensor | None:
    """What words see, as :func:`encoded_words` takes it: all real ones, or near ones where there is a window.

    Of (B, W) ones and zeros transformers asks whether all are ones, for which the host waits where they are on a GPU.
    Encoders that limit by themselves what a word sees get no other: CLIP's, ModernBERT, and what is not listed above.

    Args:
        encoder: a text encoder.
        mask: (B, W) bool, real words.
        counts: (B,) of them, on the host.
        window: how many neighbours on each side a word sees.
    """
    config, width = encoder.config, mask.shape[1]
    limits = not architecture(config.model_type).windows or getattr(config, "local_attention", None) is not None
    if window is None and limits:
        return mask.long()
    if window is None and min(counts.tolist()) == width:
        return None
    return neighbours(mask, width if window is None else window, encoder.dtype)


def neighbours(mask: Tensor, window: int, kind: torch.dtype) -> Tensor:
    """(B, 1, W, W) to add to attention scores: 0 where a word sees another, else the least number.

    Args:
        mask: (B, W) bool, real words.
        window: how many neighbours on each side a word sees.
        kind: of the scores.
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    near = (places[:, None] - places[None, :]).abs() <= window  # (W, W)
    unseen = ~(near & mask[:, None, None, :])
    return torch.zeros(unseen.shape, dtype=kind, device=mask.device).masked_fill(unseen, torch.finfo(kind).min)
