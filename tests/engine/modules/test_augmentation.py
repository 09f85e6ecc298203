"""Training steps encode augmented pairs; losses that read captions, and evaluations, see the pairs themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfalign.engine.callbacks.keep_word_features import kept_word_features
from selfalign.errors import UserError
from selfalign.structures import CaptionBatch, ImageBatch
from tests.engine.modules.test_training import built, trainer


def watched(root: Path, backbone: str, *overrides: str) -> dict[str, list[Any]]:
    """What the towers and the losses were given in two steps and a validation of images with 4 regions."""
    module, data = built(root, *overrides, backbone=backbone)
    seen: dict[str, list[Any]] = {"train": [], "validate": [], "read": []}
    encode_images, encode_captions, terms = (
        module.backbone.encode_images,
        module.backbone.encode_captions,
        module.loss_terms,
    )

    def images(batch: ImageBatch) -> Any:
        seen["train" if module.training else "validate"].append(batch.regions.shape[1])
        return encode_images(batch)

    def captions(batch: CaptionBatch) -> Any:
        seen["train" if module.training else "validate"].append(batch.tokens)
        return encode_captions(batch)

    def losses(batch: Any, *encodings: Any) -> Any:
        seen["read"].append(batch.captions.tokens)
        return terms(batch, *encodings)

    module.backbone.encode_images, module.backbone.encode_captions = images, captions  # type: ignore[method-assign]
    module.loss_terms = losses  # type: ignore[method-assign]
    trainer(root, epochs=1, limit_train_batches=2, limit_val_batches=1).fit(module, data)
    seen["hidden"] = [module.augmentation.tokenizer.hidden_id] if module.augmentation else []
    return seen


@pytest.mark.parametrize("backbone", ["camera", "vsrn"])
def test_a_step_encodes_some_regions_and_changed_words(scan_folder: Path, backbone: str) -> None:
    known = ["backbone.vocabulary.minimum_count=1"] if backbone == "vsrn" else []  # no word of the data is unknown
    seen = watched(scan_folder, backbone, "augmentation.regions=0.5", "augmentation.words=0.9", *known)
    assert [value for value in seen["train"] if isinstance(value, int)] == [2, 2]
    assert 4 in seen["validate"]
    (hidden,) = seen["hidden"]
    changed = [tokens for tokens in seen["train"] if not isinstance(tokens, int)]
    assert all((tokens == hidden).any() for tokens in changed)
    validated = [tokens for tokens in seen["validate"] if not isinstance(tokens, int) and backbone == "camera"]
    for tokens in (*seen["read"], *validated):  # VSRN does not know all words of the other splits
        assert not (tokens == hidden).any()


def test_nothing_changes_where_nothing_is_asked_for(scan_folder: Path) -> None:
    seen = watched(scan_folder, "vsrn")
    assert seen["hidden"] == []
    changed = [tokens for tokens in seen["train"] if not isinstance(tokens, int)]
    assert all((given == read).all() for given, read in zip(changed, seen["read"], strict=True))


def test_kept_outputs_of_bert_do_not_go_with_changed_words(scan_folder: Path) -> None:
    module, data = built(scan_folder)
    config = {
        "padding": "masked",
        "data": {},
        "backbone": {"bert": {"cache": "kept", "frozen": True, "dropout": False}},
        "augmentation": {"regions": 0.2, "words": 0.2},
    }
    with pytest.raises(UserError, match=r"bert\.cache: needs augmentation\.words=0"):
        kept_word_features(config, module, data)


def test_margins_by_words_count_the_words_of_the_captions_themselves(scan_folder: Path) -> None:
    """Deleted words shorten what the towers see, not what the margins compare."""
    module, data = built(
        scan_folder, "loss=guided", "augmentation.words=0.9", "backbone.vocabulary.minimum_count=1", backbone="vsrn"
    )
    given: list[Any] = []
    module.losses["ranking"].register_forward_pre_hook(lambda loss, arguments: given.append(arguments))
    seen: list[Any] = []
    terms = module.loss_terms

    def losses(batch: Any, images: Any, captions: Any, shares: Any) -> Any:
        seen.append((batch.captions, captions.mask))
        return terms(batch, images, captions, shares)

    module.loss_terms = losses  # type: ignore[method-assign]
    trainer(scan_folder, epochs=1, limit_train_batches=1, limit_val_batches=0).fit(module, data)
    (_, _, tokens, mask), (captions, encoded) = given[0], seen[0]
    assert (tokens == captions.tokens).all()
    assert (mask == captions.mask).all()
    assert encoded.sum() < mask.sum()
