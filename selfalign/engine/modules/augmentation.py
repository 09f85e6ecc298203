"""What a training step makes of its pairs before they are encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.functional.sending import sent
from selfalign.functional.size_augmentation import changed_words, some_real_regions, some_regions
from selfalign.structures import CaptionBatch, ImageBatch, PairBatch


@dataclass(frozen=True)
class SizeAugmentation:
    """Pairs with some of their regions and with changed words, see :mod:`selfalign.functional.size_augmentation`.

    Attributes:
        regions: share that is left out.
        words: probability of a word to be changed.
        tokenizer: of the captions.
    """

    regions: float
    words: float
    tokenizer: CaptionTokenizer

    def __call__(self, batch: PairBatch) -> PairBatch:
        """A batch of the same pairs; the one that was given stays as it is."""
        images = self._images(batch.images) if self.regions else batch.images
        captions = self._captions(batch.captions) if self.words else batch.captions
        return replace(batch, images=images, captions=captions)

    def _images(self, images: ImageBatch) -> ImageBatch:
        pairs, regions, _ = images.regions.shape
        mask, counts = images.mask, images.counts
        if mask is None or counts is None:
            places = some_regions(pairs, regions, self.regions, images.regions.device)
        else:
            places, mask, counts = some_real_regions(mask, counts, self.regions)

        def chosen(values: Tensor) -> Tensor:
            found = values.take_along_dim(places[:, :, None], dim=1)
            return found if mask is None else found * mask[..., None]

        return replace(
            images,
            regions=chosen(images.regions),
            positions=None if images.positions is None else chosen(images.positions),
            mask=mask,
            counts=counts,
        )

    def _captions(self, captions: CaptionBatch) -> CaptionBatch:
        if captions.words is not None:
            raise ValueError("words: expected captions without outputs of BERT that were computed before")
        tokens, counts = changed_words(
            captions.tokens,
            captions.counts,
            self.words,
            hidden_id=self.tokenizer.hidden_id,
            vocabulary_size=self.tokenizer.vocabulary_size,
            pad_id=self.tokenizer.pad_id,
        )
        return replace(captions, tokens=tokens, lengths=sent(counts, tokens.device), counts=counts)
