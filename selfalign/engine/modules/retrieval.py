"""The LightningModule of a run: built from plain values, which its checkpoints hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from selfalign.backbones.bert import build_bert
from selfalign.data.text.tokenizers import tokenizer_from_state
from selfalign.engine.modules.parts import build_augmentation, build_losses, build_network, build_optimisation
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.errors import UserError
from selfalign.runs.checkpoint import Provenance, read_checkpoint
from selfalign.settings import BACKBONES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RetrievalModule(TwoTowerModule):
    """Any model, from plain hyper-parameters; ``load_from_checkpoint`` needs nothing but the file.

    Args:
        config: the resolved configuration of a run.
        region_width: F, of the features.
        tokenizer: state of the caption tokenizer, with its vocabulary.
        bert: settings of the BERT model, ``None`` for models without one.
        extractor: what made the training features; ``None`` where nothing told it.
        encoder: the BERT model itself, with pretrained weights; no hyper-parameter, since checkpoints have its weights.

    Attributes:
        provenance: the hyper-parameters as they stand in checkpoints.

    Raises:
        UserError: naming the setting that does not fit.
    """

    def __init__(
        self,
        config: dict[str, Any],
        region_width: int,
        tokenizer: dict[str, Any],
        bert: dict[str, Any] | None = None,
        extractor: dict[str, Any] | None = None,
        *,
        encoder: PreTrainedModel | None = None,
    ) -> None:
        _require_own_settings(type(self), config["backbone"]["name"])
        if encoder is None and bert is not None:
            encoder = build_bert(bert)
        captions = tokenizer_from_state(tokenizer)
        words = captions.vocabulary_size
        network = build_network(config, region_width, words, encoder)
        losses = build_losses(config["loss"], network.width, words)
        super().__init__(network, losses, build_optimisation(config), build_augmentation(config, captions))
        self.provenance = Provenance(config, region_width, tokenizer, bert, extractor).to_dict()
        self.save_hyperparameters(
            {name: self.provenance[name] for name in self.provenance if name != "format"}, logger=False
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record from which everything is rebuilt; the hyper-parameters are the same objects, stored once."""
        self.require_finite()
        checkpoint["selfalign"] = self.provenance

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's takes hyper-parameters that files here hold
        cls, checkpoint_path: str | Path, map_location: Any = None, strict: bool = True, **changes: Any
    ) -> Self:
        """The module of a checkpoint of this project, in evaluation mode; runs no code from the file.

        Args:
            checkpoint_path: as ``runs/.../checkpoints/best.ckpt``.
            map_location: a device for its weights.
            strict: refuse weights that are missing or too many.
            changes: hyper-parameters that are to differ from those of the file.

        Raises:
            UserError: if the file is missing, damaged, or of another model.
        """
        path = Path(checkpoint_path)
        provenance, weights = read_checkpoint(path)
        settings = {name: value for name, value in vars(provenance).items() if name != "format"}
        module = cls(**(settings | changes))
        try:
            module.load_state_dict(weights, strict=strict)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"checkpoint {path}: weights do not fit its own configuration ({reason})") from error
        return module.eval() if map_location is None else module.eval().to(map_location)


def _require_own_settings(kind: type, name: str) -> None:
    """Refuse the settings of another backbone in a module that is named after one.

    Raises:
        UserError: naming both.
    """
    named = [row for row in BACKBONES if row.module.endswith(f":{kind.__name__}")]
    if kind is not RetrievalModule and named and name not in [row.name for row in named]:
        raise UserError(f"{kind.__name__}: expected the settings of {named[0].name}, got {name}")
