"""Losses, a row each: what is built, what it reads of a training step, its settings."""

from __future__ import annotations

from dataclasses import dataclass

from selfalign.settings.axes import LOSS_TERMS, RANKING_LOSSES
from selfalign.settings.field import setting


@RANKING_LOSSES(
    "hinge",
    builds="selfalign.losses.ranking:RankingLoss",
    reads=("similarity", "image_ids", "epoch"),
    advice="loss.ranking.warm_up_epochs=1 or a lower training.learning_rate helps",
)
@dataclass(frozen=True)
class Hinge:
    """The hinge in both directions, with the hardest negative of the batch."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 leaves it out")
    margin: float = setting(0.2, at_least=0, doc="between the right pair and the negative")
    hardest: bool = setting(True, doc="the hardest negative in the batch; false: the sum over all")
    warm_up_epochs: int = setting(
        0,
        at_least=0,
        unit="epochs",
        doc="in which all negatives count; helps where the loss stays at 2 · batch · margin",
    )
    mask_same_image: bool = setting(False, doc="other captions of the same image are no negatives")


@RANKING_LOSSES("infonce", builds="selfalign.losses.infonce:InfoNceLoss", reads=("similarity", "image_ids", "epoch"))
@dataclass(frozen=True)
class InfoNce:
    """Cross-entropy over the pairs of the batch in both directions, a mean; not of the paper."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 leaves it out")
    temperature: float = setting(0.07, above=0, doc="of the softmax, or its start where it is learned")
    learned: bool = setting(False, doc="the temperature is trained, between 0.01 and 0.1")
    same_image: str = setting(
        "masked",
        one_of=("masked", "positive", "negative"),
        doc="what other captions of the same image are: left out, right answers too, or wrong ones",
    )

    def __post_init__(self) -> None:
        if self.learned and not 0.01 <= self.temperature <= 0.1:
            raise ValueError(f"temperature: expected 0.01 to 0.1 for a learned one, got {self.temperature}")


@RANKING_LOSSES(
    "guided",
    builds="selfalign.losses.guided:GuidedInfoNceLoss",
    reads=("similarity", "image_ids", "all_caption_tokens", "all_token_masks"),
)
@dataclass(frozen=True)
class Guided:
    """InfoNCE that pushes pairs apart by less, the more words their captions share; not of the paper."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 leaves it out")
    temperature: float = setting(0.07, above=0, doc="of the softmax")
    margin: float = setting(0.2, at_least=0, doc="added to wrong pairs whose captions share nothing")
    quantile: float = setting(0.5, at_least=0, at_most=1, doc="of wrong pairs; the less alike have the full margin")


@LOSS_TERMS(
    "words",
    builds="selfalign.losses.words:WordContrastLoss",
    reads=(
        "image_concepts",
        "caption_concepts",
        "caption_mask",
        "own_image_ids",
        "shares",
        "region_mask",
        "caption_counts",
    ),
)
@dataclass(frozen=True)
class Words:
    """Word-region contrast over the images of the batch: a word finds its image by a region; not of the paper."""

    weight: float = setting(0.0, at_least=0, doc="in the total; 0 leaves it out")
    attention_temperature: float = setting(0.1, above=0, doc="of a word's attention over the regions of an image")
    temperature: float = setting(0.1, above=0, doc="of the contrast over images and over captions")
    image_share: float = setting(0.5, at_least=0, at_most=1, doc="of the image to caption direction in the loss")


@LOSS_TERMS(
    "concept",
    builds="selfalign.losses.concept_alignment:ConceptAlignmentLoss",
    reads=(
        "image_concepts",
        "caption_concepts",
        "caption_mask",
        "processes",
        "region_mask",
        "caption_counts",
        "region_counts",
    ),
)
@dataclass(frozen=True)
class Concept:
    """Concept alignment: a word chooses the prototype of its region."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 builds neither loss nor parameters")
    prototypes: int = setting(1024, at_least=1, doc="P")
    teacher_temperature: float = setting(0.05, above=0, doc="of Sinkhorn")
    student_temperature: float = setting(0.1, above=0, doc="of the words' softmax")
    iterations: int = setting(2, at_least=1, doc="of Sinkhorn")
    freeze_epochs: int = setting(
        0, at_least=0, unit="epochs", doc="in which the prototypes get no gradient; published: 1 for CAMERA, 0 for VSRN"
    )


@LOSS_TERMS(
    "context",
    builds="selfalign.losses.context_alignment:ContextAlignmentLoss",
    reads=("image_context", "caption_context"),
)
@dataclass(frozen=True)
class Context:
    """Context alignment: one vector an image and a caption, from their contexts."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 builds neither loss nor parameters")
    temperature: float = setting(0.7, above=0, doc="of the softmax")
    negatives: int = setting(512, at_least=1, doc="that a pair is contrasted with, at most")


@LOSS_TERMS(
    "diversity",
    builds="selfalign.losses.diversity:DiversityLoss",
    reads=("region_weights",),
    own=True,
)
@dataclass(frozen=True)
class Diversity:
    """CAMERA's own: the views of an image are to differ."""

    weight: float = setting(0.01, at_least=0, doc="in the total; 0 leaves it out")


@LOSS_TERMS(
    "captioning",
    builds="selfalign.losses.captioning:CaptioningLoss",
    reads=("graph", "caption_tokens", "caption_lengths", "region_mask", "token_counts", "region_counts"),
    own=True,
)
@dataclass(frozen=True)
class Captioning:
    """VSRN's own: the caption is to be written from the regions."""

    weight: float = setting(1.0, at_least=0, doc="in the total; 0 builds neither loss nor parameters")
    hidden: int = setting(512, at_least=1, doc="width of the captioner")
    word_width: int = setting(300, at_least=1, doc="of its word embedding")
    dropout: float = setting(0.2, at_least=0, below=1, doc="in it")
    maximum_length: int = setting(60, at_least=2, unit="words", doc="to which captions are cut, start and end counted")
