"""The authors' checkpoints: which model, its settings, and its weights under our names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from selfalign.errors import UserError, shown
from selfalign.files.torch_files import read_torch_file
from selfalign.interop.parameter_names import CAMERA_IMAGE, CAMERA_TEXT, VSRN_IMAGE, VSRN_TEXT, rename


@dataclass(frozen=True)
class OriginalCheckpoint:
    """What an authors' checkpoint says of its model.

    Attributes:
        backbone: ``camera`` or ``vsrn``.
        selfalign: trained with SelfAlign.
        options: the authors' command-line options.
        region_width: F.
        weights: parameters and buffers under the names of our modules.
    """

    backbone: str
    selfalign: bool
    options: Mapping[str, Any]
    region_width: int
    weights: dict[str, Tensor]

    def backbone_settings(self) -> dict[str, Any]:
        """Settings of our backbone that follow from the weights and options."""
        weights = self.weights
        settings: dict[str, Any] = {"name": self.backbone, "width": len(weights["backbone.image_tower.project.bias"])}
        if self.backbone == "camera":
            heads_width = len(weights["backbone.image_tower.attention.gate_query.bias"])
            return settings | {
                "heads": settings["width"] // heads_width,
                "views": len(weights["backbone.image_tower.summary.score.bias"]),
                "dropout": float(self.options.get("drop", 0.0)),
            }
        final_norm = "backbone.image_tower.final_norm.weight" in weights
        return settings | {
            "word_width": weights["backbone.text_tower.embedding.weight"].shape[1],
            "final_norm": final_norm,
            "region_norm": not final_norm,
        }


def read_original_checkpoint(path: Path) -> OriginalCheckpoint:
    """Read an authors' checkpoint; of all objects a pickle can name, only plain option records are made.

    Raises:
        UserError: if the file is missing, damaged, asks for anything else, or is of another model.
    """
    content = read_torch_file(path, "checkpoint", allowed=[argparse.Namespace])
    towers = content.get("model") if isinstance(content, dict) else None
    if not isinstance(towers, list) or len(towers) not in (2, 3) or not all(isinstance(t, dict) for t in towers):
        raise UserError(f"checkpoint {path}: no list of state dicts under 'model'; it is not of the authors' format")
    options = content.get("opt")
    backbone = "camera" if "mvs.convs_fc.weight" in towers[0] else "vsrn"
    tables = (CAMERA_IMAGE, CAMERA_TEXT) if backbone == "camera" else (VSRN_IMAGE, VSRN_TEXT)
    weights: dict[str, Tensor] = {}
    for tower, table, name in zip(towers, tables, ("image", "text"), strict=False):
        renamed, unknown = rename(tower, table)
        if unknown:
            raise UserError(
                f"checkpoint {path}: unknown parameter {shown(unknown[0])} in the {name} tower; another model?"
            )
        weights |= {
            f"backbone.{name}_tower.{key}": values
            for key, values in renamed.items()
            if not key.startswith("bert.pooler.")
        }
    if "backbone.image_tower.project.weight" not in weights:
        raise UserError(f"checkpoint {path}: the image tower has no fc.weight; another model?")
    selfalign = len(towers) == 3
    if selfalign:
        weights["losses.concept.prototypes"] = towers[2]["v_prototypes.weight"]
    return OriginalCheckpoint(
        backbone,
        selfalign,
        vars(options) if isinstance(options, argparse.Namespace) else {},
        weights["backbone.image_tower.project.weight"].shape[1],
        weights,
    )
