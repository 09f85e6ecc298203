"""One training loss a file, each a module around a pure function. None knows a model, a setting or a logger."""

from selfalign.losses.captioning import captioning_loss, captioning_targets
from selfalign.losses.concept_alignment import ConceptAlignmentLoss, concept_alignment
from selfalign.losses.context_alignment import ContextAlignmentLoss, context_alignment, context_contrast
from selfalign.losses.diversity import DiversityLoss, diversity_loss
from selfalign.losses.ranking import RankingLoss, ranking_loss

__all__ = [
    "ConceptAlignmentLoss",
    "ContextAlignmentLoss",
    "DiversityLoss",
    "RankingLoss",
    "captioning_loss",
    "captioning_targets",
    "concept_alignment",
    "context_alignment",
    "context_contrast",
    "diversity_loss",
    "ranking_loss",
]
