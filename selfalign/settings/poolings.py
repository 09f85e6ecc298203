"""Poolings, a row each."""

from __future__ import annotations

from dataclasses import dataclass

from selfalign.settings.axes import POOLINGS


@POOLINGS("mean", builds="selfalign.backbones.pooling.mean:MeanPooling")
@dataclass(frozen=True)
class Mean:
    """The mean over regions or words."""


@POOLINGS("max", builds="selfalign.backbones.pooling.maximum:MaxPooling")
@dataclass(frozen=True)
class Maximum:
    """Of every feature the largest value."""


@POOLINGS("generalised", builds="selfalign.backbones.pooling.generalised:GeneralisedPooling")
@dataclass(frozen=True)
class Generalised:
    """A learned mixture of a feature's largest, second largest, ... value (GPO of VSE-infinity)."""


@POOLINGS("attention", builds="selfalign.backbones.pooling.attention:AttentionPooling")
@dataclass(frozen=True)
class Attention:
    """A softmax over regions or words for each feature (ESA)."""


CHOICES = ("published", *(row.name for row in POOLINGS))
"""What a tower can be told."""
