"""Backbones, a row each: class, tokenizer, own losses, published settings."""

from __future__ import annotations

from dataclasses import dataclass

from selfalign.settings.axes import BACKBONES
from selfalign.settings.field import group, setting
from selfalign.settings.poolings import CHOICES

_NORM_AXES = ("regions", "features", "none")
_CONCEPTS = ("shared", "linear", "convolution")
_CONCEPTS_DOC = (
    "words and regions of the concept level: shared: the first projections, as published; linear: maps of their own of "
    "raw regions and words; convolution: the words' over three words that have seen no others"
)


_CONCEPT_LAYER = "whose words are those of the concept level: 0 before any layer; null: the last, as published"


@dataclass(frozen=True)
class ScratchBert:
    """A small BERT that is made on the spot and trained, where no source is named."""

    vocabulary_size: int = setting(500, at_least=10, unit="word pieces", doc="collected from the training captions")
    hidden_size: int = setting(128, at_least=1, doc="width")
    num_hidden_layers: int = setting(2, at_least=1, doc="layers")
    num_attention_heads: int = setting(4, at_least=1, doc="heads; they share the width evenly")
    intermediate_size: int = setting(256, at_least=1, older=3072, doc="width of the MLPs")
    hidden_dropout_prob: float = setting(0.1, at_least=0, below=1, doc="dropout of layers")
    attention_probs_dropout_prob: float = setting(0.1, at_least=0, below=1, doc="dropout of attention")

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads: expected a divisor of hidden_size={self.hidden_size}, "
                f"got {self.num_attention_heads}"
            )


@dataclass(frozen=True)
class Bert:
    """CAMERA's text encoder."""

    source: str | None = setting(
        "bert-base-uncased", path=True, doc="hub name or local folder; null: a small one, made on the spot and trained"
    )
    frozen: bool = setting(True, doc="train none of its parameters, as published")
    dropout: bool = setting(True, doc="its own dropout is active in training, as published, although it is frozen")
    maximum_length: int = setting(32, at_least=3, unit="word pieces", doc="[CLS] and [SEP] counted")
    window: int | None = setting(
        None, at_least=1, unit="word pieces", doc="on each side that a word piece sees; null: all, as published"
    )
    concept_layer: int | None = setting(None, at_least=0, doc=_CONCEPT_LAYER)
    gradient_checkpointing: bool = setting(
        False, matters=False, doc="trained, its layers are computed again for the gradient: less memory, more time"
    )
    cache: str | None = setting(
        None,
        path=True,
        published=False,
        doc="a folder: its outputs computed once, as float16; needs dropout=false, which is not as published",
    )
    scratch: ScratchBert = group(doc="the small one")


@BACKBONES(
    "camera",
    builds="selfalign.backbones.camera:Camera",
    module="selfalign.engine.modules.camera_module:CameraModule",
    tokenizer="word_pieces",
    boxes=True,
    losses=("diversity",),
    defaults={
        "training.epochs": 30,
        "training.learning_rate": 1e-4,
        "training.decay_every": 10,
        "training.clip_norm": 2.0,
        "training.validate_every": 500,
        "loss.concept.freeze_epochs": 1,
    },
    published={"coco": {"training.epochs": 40, "training.decay_every": 20}},
)
@dataclass(frozen=True)
class CameraSettings:
    """CAMERA: gated attention, several views of an image; BERT for captions."""

    width: int = setting(2048, at_least=1, doc="D, of the joint space")
    heads: int = setting(64, at_least=1, doc="of the gated attention; they share the width evenly")
    views: int = setting(12, at_least=1, doc="of an image")
    dropout: float = setting(0.0, at_least=0, below=1, doc="in gated attention and MLP")
    image_pooling: str = setting("published", one_of=CHOICES, doc="published: the views; others make one view")
    text_pooling: str = setting("published", one_of=CHOICES, doc="of words; published: the mean")
    norm_axis: str = setting("regions", one_of=_NORM_AXES, doc="of every norm over regions or words, as published")
    zero_start: bool = setting(False, doc="BatchNorms of residual branches start at weight 0; published: at 1")
    concepts: str = setting("shared", one_of=_CONCEPTS, doc=_CONCEPTS_DOC)
    bert: Bert = group(doc="text encoder")

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width={self.width}, got {self.heads}")


@dataclass(frozen=True)
class VocabularySettings:
    """The words that VSRN knows."""

    file: str | None = setting(None, path=True, doc="a vocabulary JSON; null: built from the training captions")
    minimum_count: int = setting(4, at_least=1, doc="how often a word occurs in the training captions")
    tokenizer: str = setting(
        "nltk_line",
        one_of=("nltk_line", "nltk_punkt", "unicode", "characters"),
        doc="nltk_line: English; nltk_punkt: in sentences first, with NLTK's punkt_tab data; unicode: words of any "
        "language with spaces; characters: each is a word, for languages without",
    )


@BACKBONES(
    "vsrn",
    builds="selfalign.backbones.vsrn:Vsrn",
    module="selfalign.engine.modules.vsrn_module:VsrnModule",
    tokenizer="words",
    boxes=False,
    losses=("captioning",),
    defaults={
        "training.epochs": 30,
        "training.learning_rate": 2e-4,
        "training.decay_every": 10,
        "training.clip_norm": 2.0,
        "training.validate_every": 500,
        "loss.concept.freeze_epochs": 0,
    },
    published={
        "coco": {"training.decay_every": 15, "backbone.final_norm": False, "backbone.region_norm": True},
    },
)
@dataclass(frozen=True)
class VsrnSettings:
    """VSRN: a graph over regions, then a GRU; a GRU over words."""

    width: int = setting(2048, at_least=1, doc="D, of the joint space")
    word_width: int = setting(300, at_least=1, doc="of the word embedding")
    final_norm: bool = setting(True, doc="BatchNorm after the image GRU; published: on Flickr30K")
    region_norm: bool = setting(False, doc="norm over regions after the first projection; published: on MSCOCO")
    image_pooling: str = setting("published", one_of=CHOICES, doc="of the graph output; published: a GRU's last state")
    text_pooling: str = setting("published", one_of=CHOICES, doc="of the GRU's states; published: the last one")
    shortcut: bool = setting(False, doc="with a text pooling, a state has its word's projection added; published: not")
    norm_axis: str = setting("regions", one_of=_NORM_AXES, doc="of every norm over regions, as published")
    concepts: str = setting("shared", one_of=_CONCEPTS, doc=_CONCEPTS_DOC)
    vocabulary: VocabularySettings = group(doc="its words")


_LINEAR = {
    "training.epochs": 3,
    "training.learning_rate": 2e-3,
    "training.decay_every": 1,
    "training.clip_norm": 2.0,
    "training.validate_every": 500,
    "scheduler.warm_up_steps": 20,
}


@BACKBONES(
    "linear",
    builds="selfalign.backbones.linear:LinearTwoTower",
    tokenizer="words",
    boxes=False,
    defaults=_LINEAR | {"optimizer.word_rate": 10.0},
    published={},
    options={"loss": "infonce", "scheduler": "cosine"},
)
@dataclass(frozen=True)
class LinearSettings:
    """The trivial two-tower that others have to beat: a bag of words, the mean of regions behind one linear map."""

    width: int = setting(1024, at_least=1, doc="D, of the joint space")
    vocabulary: VocabularySettings = group(doc="its words")


@dataclass(frozen=True)
class WordsOfBert:
    """A text encoder without dropout whose words go through one linear map."""

    source: str = setting("bert-base-uncased", path=True, doc="hub name or local folder")
    frozen: bool = setting(True, doc="train none of its parameters")
    concept_layer: int | None = setting(None, at_least=0, doc=_CONCEPT_LAYER)
    maximum_length: int = setting(32, at_least=3, unit="word pieces", doc="[CLS] and [SEP] counted")
    cache: str | None = setting(None, path=True, published=False, doc="a folder: its outputs computed once, as float16")


@BACKBONES(
    "linear_bert",
    builds="selfalign.backbones.linear:LinearTwoTower",
    tokenizer="word_pieces",
    boxes=False,
    defaults=_LINEAR,
    published={},
    options={"loss": "infonce", "scheduler": "cosine"},
)
@dataclass(frozen=True)
class LinearBertSettings:
    """The trivial two-tower with one linear map of the mean of a BERT's words, frozen by default."""

    width: int = setting(1024, at_least=1, doc="D, of the joint space")
    bert: WordsOfBert = group(doc="text encoder")
