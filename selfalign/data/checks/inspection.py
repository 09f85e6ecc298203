"""All that is wrong with the splits of a run, where training would stop at the first error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from selfalign.data.checks.findings import Finding
from selfalign.data.checks.overlap import Contents, overlap_findings
from selfalign.data.checks.rules import split_findings
from selfalign.data.layout import SplitFiles, find_split, require_distinct_files
from selfalign.data.ownership import open_features
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import Positions, positions_at_hand
from selfalign.data.text.caption_forms import conversion_advice, distributed_form
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
        owners: (M,) image of each caption; ``None`` without features.
    """

    name: str
    files: SplitFiles | None = None
    texts: list[str] | None = None
    features: RegionFeatures | None = None
    positions: Positions | None = None
    owners: np.ndarray | None = None


@dataclass(eq=False)
class Inspection:
    """The findings on a folder, and what could be opened of its splits.

    Args:
        root: folder in SCAN's layout.
        boxes: the run's model reads them; where it does not, what is wrong with them is a warning.
        full: read every value; otherwise large files by a sample.
        box_unit: of the boxes on disk.
    """

    root: Path
    boxes: bool
    full: bool
    box_unit: str = "pixels"
    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, InspectedSplit] = field(default_factory=dict)
    wrong_boxes: int = 0

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
            self.add(f"{name} features", lambda: DiskArray(files.features, (2, 3), "features"))
            return
        owned = self.add(f"{name} features", lambda: open_features(files, len(texts)))
        if owned is not None:
            split.features, split.owners = owned.features, owned.image_of_caption
            split.positions = self._positions(files, owned.features)
        findings = split_findings(files, texts, split.features, split.positions, split.owners, full=self.full)
        for finding in self._read(name, findings):
            self._note(finding, of_boxes=finding.about == f"{name} boxes")

    def _note(self, finding: Finding, *, of_boxes: bool) -> None:
        if of_boxes and finding.level == "error":
            self.wrong_boxes += 1
            if not self.boxes:
                finding = replace(finding, level="warning", text=f"{finding.text}; backbone=vsrn reads no boxes")
        self.findings.append(finding)

    def _positions(self, files: SplitFiles, features: RegionFeatures) -> Positions | None:
        try:
            found = positions_at_hand(files, features, self.box_unit)
        except UserError as error:
            self._note(Finding("error", f"{files.split} boxes", str(error)), of_boxes=True)
            return None
        if found is not None:
            return found
        self.wrong_boxes += 1
        missing = f"{files.split}_{'boxes' if files.boxes is None else 'img_sizes'}.npy"
        if self.boxes:
            text = f"data folder {self.root}: {missing} is missing, which this backbone needs"
            self.findings.append(Finding("error", f"{files.split} boxes", text))
        else:
            self.findings.append(Finding("ok", f"{files.split} boxes", f"no {missing}; this backbone needs none"))
        return None

    def _read(self, about: str, findings: Iterator[Finding]) -> list[Finding]:
        found: list[Finding] = []
        self.add(about, lambda: found.extend(findings))  # what came before a file that broke off stays
        return found

    def together(self) -> None:
        """Check what the splits have in common."""
        found = [split.files for split in self.splits.values() if split.files is not None]
        self.add("all splits", lambda: require_distinct_files(found))
        contents = [
            Contents(split.name, split.features, split.texts, split.files, split.owners)
            for split in self.splits.values()
        ]
        self.findings += self._read("all splits", overlap_findings(contents, full=self.full))

    def usable(self, *, boxes: bool) -> bool:
        """Whether a backbone trains on these splits: nothing but the boxes may be wrong for one that reads none."""
        if not self.splits or self.errors > (self.wrong_boxes if self.boxes else 0):
            return False
        return not (boxes and self.wrong_boxes)

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
    if (form := distributed_form(captions)) is not None:
        raise UserError(conversion_advice(path, form))
    return captions
