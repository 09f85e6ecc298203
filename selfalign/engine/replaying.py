"""A step of training done again, part by part: where it first gives no number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from selfalign.engine.building import rebuild_module
from selfalign.processes.exchange import ALONE, Shares
from selfalign.runs.checkpoint import Provenance
from selfalign.runs.reproduction import Reproduction

_SHOWN = 10


def replay(step: Reproduction) -> tuple[list[str], bool]:
    """Do a step again on the CPU, alone.

    Args:
        step: what a run left.

    Returns:
        lines for a reader, and whether loss and gradients are numbers this time.
    """
    module, _ = rebuild_module(Provenance(**step.provenance))
    module.load_state_dict(step.weights)
    module.train()
    found: list[str] = []
    for name, part in module.named_modules():
        part.register_forward_hook(_watch(name, found))
    torch.set_rng_state(step.random)
    batch = step.batch
    images, captions = module.backbone.encode_images(batch.images), module.backbone.encode_captions(batch.captions)
    terms = module.loss_terms(batch, images, captions, Shares(ALONE, (len(batch.images.ids),)))
    total = torch.stack([module.loss_weights[name] * value for name, value in terms.items()]).sum()
    total.backward()
    lines = [f"step {step.step + 1}, epoch {step.epoch + 1}, {len(batch.images.ids)} pairs"]
    lines += [f"weights that are no numbers: {name}" for name, values in step.weights.items() if _bad(values)][:_SHOWN]
    lines += [f"features that are no numbers: image {i}" for i in _bad_rows(batch.images.regions, batch.images.ids)]
    if found:
        lines.append(f"first output that is no number: {found[0]}")
    lines += [f"loss {name}: {float(value):.6g}" for name, value in terms.items()]
    bad = [name for name, values in module.named_parameters() if values.grad is not None and _bad(values.grad)]
    lines += [f"gradient that is no number: {name}" for name in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"... and {len(bad) - _SHOWN} more")
    finite = not bad and bool(torch.isfinite(total))
    lines.append("all numbers are finite here" if finite else "reproduced")
    return lines, finite


def _watch(name: str, found: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and _bad(output):
            found.append(f"{name} ({type(module).__name__})")

    return look


def _bad(values: Tensor) -> bool:
    return values.is_floating_point() and not bool(torch.isfinite(values).all())


def _bad_rows(values: Tensor, ids: Tensor) -> list[int]:
    return ids[~torch.isfinite(values.float()).flatten(1).all(dim=1)].tolist()[:_SHOWN]
