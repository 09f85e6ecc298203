"""What the host made, on the device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """``values`` of the host on ``device``, where what they are for may be queued before they arrive.

    A plain ``Tensor.to`` waits until a GPU has done all that it was told before.
    """
    if device.type == "cpu":
        return values
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)
