"""The schema: type, range, default, unit and meaning of every key; nothing else lists keys.

Knows neither torch nor Hydra: a command line, a checkpoint and a test are checked by the same function.
"""

from selfalign.settings import backbones as _backbones  # noqa: F401  registers rows
from selfalign.settings import losses as _losses  # noqa: F401
from selfalign.settings import optimisation as _optimisation  # noqa: F401
from selfalign.settings.axes import (
    BACKBONES,
    LOSS_TERMS,
    OPTIMIZERS,
    POOLINGS,
    RANKING_LOSSES,
    SCHEDULES,
    BackboneRow,
    LossRow,
    Row,
)
from selfalign.settings.checking import MISSING, checked, defaults
from selfalign.settings.field import REQUIRED, Rule, group, setting
from selfalign.settings.keys import every_key, is_in_name, is_published, matters, paths, resumable
from selfalign.settings.nearest import nearest
from selfalign.settings.programs import Evaluation, TrainingRun

__all__ = [
    "BACKBONES",
    "LOSS_TERMS",
    "MISSING",
    "OPTIMIZERS",
    "POOLINGS",
    "RANKING_LOSSES",
    "REQUIRED",
    "SCHEDULES",
    "BackboneRow",
    "Evaluation",
    "LossRow",
    "Row",
    "Rule",
    "TrainingRun",
    "checked",
    "defaults",
    "every_key",
    "group",
    "is_in_name",
    "is_published",
    "matters",
    "nearest",
    "paths",
    "resumable",
    "setting",
]
