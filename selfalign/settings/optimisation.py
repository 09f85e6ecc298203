"""Optimisers and schedules, a row each; the defaults are the published way."""

from __future__ import annotations

from dataclasses import dataclass

from selfalign.settings.axes import OPTIMIZERS, SCHEDULES
from selfalign.settings.field import setting

_BERT = "factor of BERT's rate, where it is trained"
_WORDS = "factor of the word table's rate"
_WARM_UP = "in which the rate rises to training.learning_rate"


@OPTIMIZERS("adam", builds="torch.optim:Adam")
@dataclass(frozen=True)
class Adam:
    """Adam without decay, as published."""

    bert_rate: float = setting(1.0, above=0, doc=_BERT)
    word_rate: float = setting(1.0, above=0, doc=_WORDS)


@OPTIMIZERS("adamw", builds="torch.optim:AdamW")
@dataclass(frozen=True)
class AdamW:
    """Adam with a decay of the weights that does not depend on the gradient."""

    weight_decay: float = setting(1e-4, at_least=0, doc="of weights; norms and biases have none")
    bert_rate: float = setting(1.0, above=0, doc=_BERT)
    word_rate: float = setting(1.0, above=0, doc=_WORDS)


@SCHEDULES("step", builds="selfalign.engine.modules.schedules:StepDecay")
@dataclass(frozen=True)
class StepSchedule:
    """A step down every training.decay_every epochs, as published."""

    decay_factor: float = setting(0.1, above=0, at_most=1, doc="of the rate at each step down")
    warm_up_steps: int = setting(0, at_least=0, unit="steps", doc=_WARM_UP)


@SCHEDULES("cosine", builds="selfalign.engine.modules.schedules:Cosine")
@dataclass(frozen=True)
class CosineSchedule:
    """Half a cosine over the whole training."""

    final_rate: float = setting(0.01, at_least=0, at_most=1, doc="share of the rate at the end")
    warm_up_steps: int = setting(0, at_least=0, unit="steps", doc=_WARM_UP)


@SCHEDULES("constant", builds="selfalign.engine.modules.schedules:Constant")
@dataclass(frozen=True)
class ConstantSchedule:
    """One rate."""

    warm_up_steps: int = setting(0, at_least=0, unit="steps", doc=_WARM_UP)
