"""Vision models and detectors of transformers, from a hub name or a local folder."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from selfalign.errors import UserError, shown
from selfalign.photographs.vision_model import VisionModel, require_side, tokens_to_map

_SQUARE: dict[str, Any] = {"do_resize": False, "do_center_crop": False, "do_pad": False, "return_tensors": "pt"}
"""Of a picture that has its size already: the processor scales and normalises, nothing else."""
_DEFAULT_SIDE = 224
_POOLERS = ("pooler.", "vision_model.head.", "text_model.", "text_projection.", "visual_projection.", "logit_")
"""Weights that the map does not depend on."""


@dataclass(eq=False)
class Detector:
    """A detection model.

    Attributes:
        source: name as typed.
        network: in evaluation mode.
        processor: of transformers, which shows it pictures and reads its answers.
        settings: everything but the weights that decides of the boxes.
    """

    source: str
    network: nn.Module
    processor: Any
    settings: dict[str, Any]

    @torch.inference_mode()
    def detections(self, picture: Image.Image) -> tuple[Tensor, Tensor]:
        """(K, 4) boxes x1 y1 x2 y2 as shares of the picture, and (K,) scores, on the CPU.

        Raises:
            UserError: if the model gives something else.
        """
        device = next(self.network.parameters()).device
        try:
            shown_picture = self.processor(images=picture, return_tensors="pt").to(device)
            answer = self.network(**shown_picture)
            (found,) = self.processor.post_process_object_detection(answer, threshold=0.0, target_sizes=[(1, 1)])
            boxes, scores = found["boxes"].float().cpu(), found["scores"].float().cpu()
        except Exception as error:  # the libraries raise a dozen types on models of another task
            raise UserError(f"detector {shown(self.source)}: gives no boxes ({_one_line(error)})") from error
        if not torch.isfinite(boxes).all() or not torch.isfinite(scores).all():
            raise UserError(f"detector {shown(self.source)}: gives values that are not finite; its weights are damaged")
        return boxes, scores


def load_detector(source: str) -> Detector:
    """A model of object detection with its own processor.

    Raises:
        UserError: if the hub cannot be reached, or the folder is incomplete or of another task.
    """
    from transformers import AutoModelForObjectDetection

    source = _whole_path(source)
    processor, settings = _processor(source, "detector")
    network, _ = _weights(source, "detector", AutoModelForObjectDetection, ())
    return Detector(source, network, processor, {"model": _plain(network.config), "processor": settings})


def load_transformers(source: str, side: int | None = None) -> VisionModel:
    """A vision model, or the vision half of one of images and texts.

    Args:
        source: hub name or folder with ``config.json``, weights and ``preprocessor_config.json``.
        side: of the square that it is shown; by default what it was trained on.

    Raises:
        UserError: if the hub cannot be reached, the folder is incomplete, or it is no vision model.
    """
    import transformers
    from transformers import AutoConfig, AutoModel

    source = _whole_path(source)
    processor, processor_settings = _processor(source, "model")
    with _quiet(source, "model"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    architecture = str((getattr(config, "architectures", None) or [""])[0])
    # By its own class: AutoBackbone asks the hub even for a folder.
    backbone = getattr(transformers, architecture, None) if architecture.endswith("Backbone") else None
    loader = AutoModel if backbone is None else backbone
    whole, missing = _weights(source, "model", loader, _POOLERS)
    network = getattr(whole, "vision_model", whole)
    own = getattr(config, "vision_config", config)
    shown_side = require_side(side or _trained_side(own, processor), source)
    takes = inspect.signature(network.forward).parameters
    options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in takes else {}
    patch = getattr(own, "patch_size", None)

    def pixels(picture: Image.Image) -> Tensor:
        return processor(images=picture, **_SQUARE)["pixel_values"]

    def to_map(values: Tensor) -> Tensor:
        answer = network(values, **options)
        found = answer.feature_maps[-1] if "feature_maps" in answer else answer.last_hidden_state
        return found if found.ndim == 4 else tokens_to_map(found, shown_side, _side_of(patch), source)

    settings = {"model": _plain(config), "processor": processor_settings}
    unused = tuple(name.removeprefix("vision_model.") for name in missing)
    return VisionModel(source, "transformers", network, shown_side, pixels, to_map, settings, unused)


def _whole_path(source: str) -> str:
    """A folder by a name that means it from everywhere; a hub name as it is."""
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def _processor(source: str, what: str) -> tuple[Any, dict[str, Any]]:
    """How pictures are shown to a model, and the same as plain values; never a guess."""
    folder = Path(source).expanduser()
    if not folder.is_dir() and source.startswith((".", "/", "~")):
        raise UserError(f"{what} {shown(source)}: no such folder")
    if folder.is_dir():
        for name in ("config.json", "preprocessor_config.json"):
            if not (folder / name).is_file() and not (folder / "processor_config.json").is_file():
                raise UserError(f"{what} folder {folder}: {name} is missing; without it the features would be a guess")
    with _quiet(source, what):
        from transformers import AutoImageProcessor

        processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
    plain = _plain(processor)
    # The same processor has another name with torchvision than without.
    return processor, {name: value for name, value in plain.items() if not name.endswith(("processor_type", "_class"))}


def _weights(source: str, what: str, loader: Any, dispensable: tuple[str, ...]) -> tuple[nn.Module, tuple[str, ...]]:
    """A model in float32 and evaluation mode, and the weights that were not there to be loaded."""
    with _quiet(source, what):
        network, report = loader.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    missing = sorted(report["missing_keys"])
    needed = [name for name in missing if not name.startswith(dispensable)] if dispensable else missing
    if needed:
        raise UserError(
            f"{what} {shown(source)}: {len(needed)} weights are missing, first {needed[0]}; use a complete model"
        )
    return network.eval().requires_grad_(False), tuple(missing)


@contextmanager
def _quiet(source: str, what: str) -> Iterator[None]:
    """Let the library load without its own lines, and make one of its errors."""
    from transformers.utils import logging

    local = Path(source).expanduser().is_dir()
    if local:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the libraries raise a dozen types on files that are damaged
        advice = (
            "check its files, or download it again"
            if local
            else "if the hub is out of reach, download it elsewhere and pass its folder"
        )
        raise UserError(f"{what} {shown(source)}: cannot be loaded ({_one_line(error)}); {advice}") from error
    finally:
        logging.set_verbosity(verbosity)


def _plain(thing: Any) -> dict[str, Any]:
    """Settings of a model or processor, less where they came from."""
    return {
        name: value
        for name, value in thing.to_dict().items()
        if name not in ("_name_or_path", "transformers_version", "dtype")
    }


def _trained_side(config: Any, processor: Any) -> int:
    """Of the square that a model was trained on."""
    if (side := _side_of(getattr(config, "image_size", None))) is not None:
        return side
    for name in ("crop_size", "size"):
        size = getattr(processor, name, None) or {}
        for side_name in ("height", "shortest_edge"):
            if isinstance(side := dict(size).get(side_name), int):
                return side
    return _DEFAULT_SIDE


def _side_of(value: Any) -> int | None:
    """A side that may be written as two."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return value if isinstance(value, int) else None


def _one_line(error: Exception) -> str:
    """The first sentence of what a library says; the others give advice."""
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")[:200] or type(error).__name__
