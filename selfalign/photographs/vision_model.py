"""A vision model as extraction sees it: a picture becomes a map of features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from selfalign.errors import UserError, shown

SIDES = (32, 2048)
"""Of the square that a model is shown, in pixels."""


@dataclass(eq=False)
class VisionModel:
    """A model and how a picture is shown to it: stretched to a square, so that windows are the same shares of both.

    Attributes:
        source: name as typed.
        kind: library it is of.
        network: in evaluation mode.
        side: of the square, in pixels.
        pixels: square picture → (1, 3, side, side), scaled and normalised as the model was trained.
        to_map: those pixels → (1, C, H, W).
        settings: everything but the weights that decides of the numbers.
        unused: prefixes of weights that no number depends on.
    """

    source: str
    kind: str
    network: nn.Module
    side: int
    pixels: Callable[[Image.Image], Tensor]
    to_map: Callable[[Tensor], Tensor]
    settings: Mapping[str, Any]
    unused: tuple[str, ...] = field(default=())

    @torch.inference_mode()
    def features(self, picture: Image.Image) -> Tensor:
        """(C, H, W) map of an RGB picture.

        Raises:
            UserError: if the model gives none, or values that are not finite.
        """
        square = picture.resize((self.side, self.side), Image.Resampling.BICUBIC)
        device = next(self.network.parameters()).device
        try:
            with torch.backends.cudnn.flags(allow_tf32=False):
                found = self.to_map(self.pixels(square).to(device))
        except UserError:
            raise
        except Exception as error:  # the libraries raise a dozen types on models of another task
            reason = str(error).strip().split("\n")[0][:160] or type(error).__name__
            raise UserError(f"model {shown(self.source)}: gives no map of a picture ({reason})") from error
        if found.ndim != 4 or len(found) != 1:
            raise UserError(f"model {shown(self.source)}: gives {tuple(found.shape)}, expected a map of one picture")
        if not torch.isfinite(found).all():
            raise UserError(f"model {shown(self.source)}: gives values that are not finite; its weights are damaged")
        return found[0].float()


def scaled(mean: tuple[float, ...], deviation: tuple[float, ...]) -> Callable[[Image.Image], Tensor]:
    """Pixels from 0 to 1, less ``mean``, over ``deviation``, by colour."""
    centre, spread = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, deviation))

    def pixels(picture: Image.Image) -> Tensor:
        values = torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1) / 255
        return ((values - centre) / spread)[None]

    return pixels


def tokens_to_map(tokens: Tensor, side: int, patch: int | None, source: str) -> Tensor:
    """Tokens of patches, row by row, as a map; tokens that stand for no patch come first and are left out.

    Args:
        tokens: (1, T, C).
        side: of the picture.
        patch: side of a patch; ``None`` if the model says none.
        source: name of the model, for messages.

    Returns:
        (1, C, H, W), H = W.

    Raises:
        UserError: if the number of tokens is none that patches of a square give.
    """
    count = tokens.shape[1]
    rows = 0 if patch is None else side // patch
    extra = count - rows**2
    if not rows or not 0 <= extra <= _MOST_EXTRA:  # patches were merged on the way, as in Swin
        rows, extra = round(count**0.5), 0
    if rows**2 + extra != count:
        raise UserError(f"model {shown(source)}: gives {count} tokens, which are no patches of a square")
    return tokens[:, extra:].transpose(1, 2).unflatten(2, (rows, rows))


_MOST_EXTRA = 16
"""Tokens of a whole picture: [CLS], one for distillation, registers."""


def require_side(side: int, source: str) -> int:
    """Refuse a square that no model is shown.

    Raises:
        UserError: naming the sides that there are.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise UserError(f"model {shown(source)}: pictures of {side} pixels; expected {SIDES[0]} to {SIDES[1]}")
    return side


def weights_hash(network: nn.Module, unused: tuple[str, ...] = ()) -> str:
    """SHA-256 of all weights by name, wherever they were loaded from.

    Raises:
        UserError: if a weight is not finite.
    """
    digest = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        if unused and name.startswith(unused):
            continue
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise UserError(f"model: weights of {name} are not finite; download it again")
        plain = values.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return digest.hexdigest()


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
