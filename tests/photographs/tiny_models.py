"""Random models of a few thousand weights, saved as transformers saves its own, and photographs of random blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image


def save_vit(folder: Path, seed: int = 0) -> Path:
    """A ViT of 16 features, 32 pixels, patches of 8, with its processor."""
    from transformers import ViTConfig, ViTModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_resnet(folder: Path, backbone: bool = False) -> Path:
    """A ResNet whose map has 12 channels, 64 pixels."""
    from transformers import ResNetBackbone, ResNetConfig, ResNetModel
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
    (ResNetBackbone if backbone else ResNetModel)(ResNetConfig(**sizes)).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(folder)
    return folder


def save_detector(folder: Path, boxes: int = 40) -> Path:
    """A YOLOS that gives ``boxes`` boxes."""
    from transformers import YolosConfig, YolosForObjectDetection
    from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = YolosConfig(**sizes, image_size=[32, 32], patch_size=8, num_detection_tokens=boxes, num_labels=5)
    model = YolosForObjectDetection(config)
    torch.nn.init.normal_(model.vit.embeddings.detection_tokens, std=3.0)  # boxes that differ
    for layer in model.bbox_predictor.layers:
        torch.nn.init.normal_(layer.weight, std=1.0)
    model.save_pretrained(folder)
    YolosImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 32}).save_pretrained(folder)
    return folder


def save_photograph(path: Path, seed: int = 0, size: tuple[int, int] = (60, 40), **options: object) -> Path:
    """Noise in large blocks, another with every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(blocks).resize(size).save(path, **options)
    return path
