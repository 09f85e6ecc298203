"""Vision models of timm and torchvision, where they are installed: ``timm:NAME``, ``torchvision:NAME``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from selfalign.errors import UserError, shown
from selfalign.photographs.vision_model import VisionModel, require_side, scaled, tokens_to_map

_CLASSIFIERS = ("fc.", "classifier.", "heads.", "head.")


def load_timm(name: str, side: int | None = None, pretrained: bool = True) -> VisionModel:
    """A model of timm.

    Args:
        name: as timm has it.
        side: of the square that it is shown; by default what it was trained on.
        pretrained: with its trained weights.

    Raises:
        UserError: if timm is not installed, knows no such model, or cannot get its weights.
    """
    source = f"timm:{name}"
    try:
        import timm
    except Exception as error:  # not there, or a build that does not fit torch
        raise UserError(f"model {shown(source)}: needs timm ({_one_line(error)}); pip install timm") from error
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=0).eval().requires_grad_(False)
    except Exception as error:  # unknown names, the hub's errors, missing files
        raise UserError(f"model {shown(source)}: cannot be loaded ({_one_line(error)})") from error
    data: dict[str, Any] = timm.data.resolve_model_data_config(network)
    shown_side = require_side(side or int(data["input_size"][-1]), source)
    patches = getattr(network, "patch_embed", None)
    patch = getattr(patches, "patch_size", None)

    def to_map(values: Tensor) -> Tensor:
        found = network.forward_features(values)
        if found.ndim == 4:
            return found.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else found
        return tokens_to_map(found, shown_side, None if patch is None else int(patch[0]), source)

    settings = {"name": name, "mean": data["mean"], "deviation": data["std"]}
    pixels = scaled(tuple(data["mean"]), tuple(data["std"]))
    return VisionModel(source, "timm", network, shown_side, pixels, to_map, settings)


def load_torchvision(name: str, side: int | None = None, pretrained: bool = True) -> VisionModel:
    """A convolutional classifier of torchvision, up to its last map.

    Args:
        name: as torchvision has it.
        side: of the square that it is shown; by default what it was trained on.
        pretrained: with its trained weights.

    Raises:
        UserError: if torchvision is not installed, knows no such model, or cannot get its weights.
    """
    source = f"torchvision:{name}"
    try:
        from torchvision import models
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
    except Exception as error:  # not there, or a build that does not fit torch
        raise UserError(
            f"model {shown(source)}: needs torchvision ({_one_line(error)}); pip install the one of your torch"
        ) from error
    try:
        weights = models.get_model_weights(name).DEFAULT
        whole = models.get_model(name, weights=weights if pretrained else None).eval().requires_grad_(False)
        nodes = [node for node in get_graph_node_names(whole)[1] if not node.startswith(_CLASSIFIERS)]
        before = next((place for place, node in enumerate(nodes) if "avgpool" in node), 0)
        if not before:
            raise ValueError("no map of it is averaged by a layer of its own; timm has such models")
        network = create_feature_extractor(whole, {nodes[before - 1]: "map"})
    except Exception as error:  # unknown names, no network, models without a pooled map
        raise UserError(f"model {shown(source)}: cannot be loaded ({_one_line(error)})") from error
    shows = weights.transforms()
    shown_side = require_side(side or int(shows.crop_size[0]), source)
    settings = {"name": name, "mean": list(shows.mean), "deviation": list(shows.std), "node": nodes[before - 1]}

    def to_map(values: Tensor) -> Tensor:
        return network(values)["map"]

    pixels = scaled(tuple(shows.mean), tuple(shows.std))
    return VisionModel(source, "torchvision", network, shown_side, pixels, to_map, settings)


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
