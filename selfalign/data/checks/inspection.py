"""All that is wrong with the splits of a run, where training would stop at the first error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from selfalign.data.checks.array_checks import box_findings, feature_findings
from selfalign.data.checks.findings import Finding
from selfalign.data.checks.overlap import Contents, overlap_findings
from selfalign.data.checks.text import caption_findings, id_findings
from selfalign.data.layout import SplitFiles, find_split, require_distinct_files
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.regions.features import CAPTIONS_PER_IMAGE, BoxPositions, RegionFeatures
from selfalign.data.text.captions import caption_lines, refused_caption
from selfalign.errors import UserError

_MOST_REFUSED = 10_000
"""Lines of a caption file; one with more is something else."""

Opened = TypeVar("Opened")


@dataclass(eq=False)
class InspectedSplit:
    """What could be opened of a split.

    Attributes:
        name: of the split.
        files: where it lies; ``None`` where features or captions are missing.
        texts: all captions, wrong ones too.
        features, positions: ``None`` where they could not be opened.
    """

    name: str
    files: SplitFiles | None = None
    texts: list[str] | None = None
    features: RegionFeatures | None = None
    positions: BoxPositions | None = None


@dataclass(eq=False)
class Inspection:
    """The findings on a folder, and what could be opened of its splits.

    Args:
        root: folder in SCAN's layout.
        boxes: the run's model needs them.
        full: read every value; otherwise large files by a sample.
    """

    root: Path
    boxes: bool
    full: bool
    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, InspectedSplit] = field(default_factory=dict)

    def add(self, about: str, job: Callable[[], Opened]) -> Opened | None:
        """What ``job`` gives; what it refuses becomes a finding."""
        try:
            return job()
        except UserError as error:
            self.findings.append(Finding("error", about, str(error)))
            return None

    def split(self, name: str) -> None:
        """Open and check a split."""
        split = self.splits[name] = InspectedSplit(name)
        split.files = files = self.add(name, lambda: find_split(self.root, name))
        if files is None:
            return
        split.texts = texts = self.add(f"{name} captions", lambda: _captions(files.captions))
        if texts is None:
            # Without captions the number of images is unknown, but the header can still be read.
            self.add(f"{name} features", lambda: DiskArray(files.features, 3, "features"))
            return
        split.features = features = self.add(f"{name} features", lambda: RegionFeatures(files.features, len(texts)))
        self.findings += caption_findings(name, files.captions, texts)
        if features is None:
            return
        self.findings += self._read(f"{name} features", feature_findings(name, features, full=self.full))
        split.positions = positions = self._positions(files, features)
        if positions is not None:
            self.findings += self._read(f"{name} boxes", box_findings(name, positions, features.images))
        if files.ids is not None:
            self.findings += id_findings(name, files.ids, features.images)

    def _positions(self, files: SplitFiles, features: RegionFeatures) -> BoxPositions | None:
        boxes, sizes = files.boxes, files.sizes
        if boxes is not None and sizes is not None:
            return self.add(f"{files.split} boxes", lambda: BoxPositions(boxes, sizes, features))
        missing = f"{files.split}_{'boxes' if boxes is None else 'img_sizes'}.npy"
        if self.boxes:
            text = f"data folder {self.root}: {missing} is missing, which backbone=camera needs"
            self.findings.append(Finding("error", f"{files.split} boxes", text))
        else:
            self.findings.append(Finding("ok", f"{files.split} boxes", f"no {missing}; backbone=vsrn needs none"))
        return None

    def _read(self, about: str, findings: Iterator[Finding]) -> list[Finding]:
        return self.add(about, lambda: list(findings)) or []

    def together(self) -> None:
        """Check what the splits have in common."""
        found = [split.files for split in self.splits.values() if split.files is not None]
        self.add("all splits", lambda: require_distinct_files(found))
        contents = [
            Contents(split.name, split.features, split.texts, None if split.files is None else split.files.ids)
            for split in self.splits.values()
        ]
        self.findings += self._read("all splits", overlap_findings(contents, full=self.full))

    @property
    def usable_by(self) -> list[str]:
        """Backbones for which every split has what they need."""
        splits = self.splits.values()
        if not splits or any(split.features is None for split in splits):
            return []
        return ["vsrn", "camera"] if all(split.positions is not None for split in splits) else ["vsrn"]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.level == "error" for finding in self.findings)


def _captions(path: Path) -> list[str]:
    captions: list[str] = []
    refused = 0
    for caption in caption_lines(path):
        captions.append(caption)
        refused += refused_caption(caption) is not None
        if refused > _MOST_REFUSED:
            raise UserError(f"captions {path}: more than {_MOST_REFUSED:,} of {len(captions):,} lines are no captions")
    if len(captions) % CAPTIONS_PER_IMAGE:
        rest = len(captions) % CAPTIONS_PER_IMAGE
        raise UserError(
            f"captions {path}: {len(captions):,} lines are {CAPTIONS_PER_IMAGE} an image and {rest} more; "
            "lines are missing or too many"
        )
    return captions
