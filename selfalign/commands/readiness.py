"""Everything that a run would need, looked at before it runs; what train.py refuses is an error here too."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from selfalign.backbones.bert import load_bert
from selfalign.data.checks.checksums import checksum_findings
from selfalign.data.checks.findings import Finding, counted
from selfalign.data.checks.inspection import Inspection
from selfalign.data.checks.rules import word_findings
from selfalign.data.datamodule import require_three_splits
from selfalign.data.dataset import AlignmentDataset, open_split
from selfalign.data.photographs import Photos
from selfalign.data.regions.positions import require_box_unit
from selfalign.data.text.kept_text import kept_tokens
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.engine.building import Config, build_data, build_tokenizer
from selfalign.engine.estimates import estimates
from selfalign.errors import printable
from selfalign.metrics.protocols import check_protocol
from selfalign.reports.columns import columns
from selfalign.settings import BACKBONES


def inspect(config: Config, *, full: bool, checksums: bool) -> Inspection:
    """All findings on the data of a run.

    Args:
        config: of train.py, plain values.
        full: read every value.
        checksums: compare the files with ``SHA256SUMS``.
    """
    data = config["data"]
    boxes = BACKBONES[config["backbone"]["name"]].boxes
    inspection = Inspection(Path(data["root"]), boxes=boxes, full=full, box_unit=data["boxes"])
    if data["scenes"] is not None and not inspection.root.exists():
        inspection.findings.append(Finding("ok", "scenes", f"{inspection.root} is not there; the run draws it first"))
        return inspection
    names = [data[f"{role}_split"] for role in ("train", "val", "test")]
    inspection.add("all splits", lambda: require_three_splits(*names))
    inspection.add("data.boxes", lambda: require_box_unit(inspection.box_unit))
    for name in dict.fromkeys(names):
        inspection.split(name)
    inspection.together()
    for folder in map(Path, data["further"]):
        more = Inspection(folder, boxes=boxes, full=full, box_unit=data["boxes"])
        more.split(data["train_split"])
        inspection.findings += [replace(found, about=f"{folder.name}/{found.about}") for found in more.findings]
        inspection.wrong_boxes += more.wrong_boxes
    _protocols(config, inspection)
    if checksums:
        inspection.findings += checksum_findings(inspection.root)
    return inspection


def _protocols(config: Config, inspection: Inspection) -> None:
    name = config["data"]["test_split"]
    split = inspection.splits[name]
    if split.features is None or split.owners is None:
        return
    for protocol in config["data"]["protocol"]:
        job = partial(check_protocol, protocol, split.features.images, split.owners)
        inspection.add(f"{name} protocol", job)


def words(config: Config, inspection: Inspection) -> CaptionTokenizer | None:
    """The tokenizer of the run, where it can be built, and what it makes of the captions that the run uses."""
    if not inspection.splits or any(split.texts is None for split in inspection.splits.values()):
        return None
    tokenizer = inspection.add("tokenizer", lambda: build_tokenizer(config, lambda line: None))
    if tokenizer is None:
        return None
    data = config["data"]
    limits = {data["train_split"]: data.get("training_captions"), data["val_split"]: data["validation_captions"]}
    for split in inspection.splits.values():
        if split.files is not None and split.texts is not None:
            texts = split.texts[: limits.get(split.name)]
            inspection.findings += word_findings(split.files, texts, kept_tokens(tokenizer, texts), tokenizer)
    inspection.add("settings", lambda: build_data(config, tokenizer))
    source = config["backbone"].get("bert", {}).get("source")
    if source is not None and Path(source).expanduser().is_dir():
        inspection.add("BERT", lambda: load_bert(source))
    _test_words(config, inspection, tokenizer)
    _photographs(config, inspection)
    return tokenizer


def _test_words(config: Config, inspection: Inspection, tokenizer: CaptionTokenizer) -> None:
    """Words with true boxes, which the test reads where the split has them, whatever the backbone."""
    split = inspection.splits[config["data"]["test_split"]]
    if split.files is None or split.files.alignments is None or split.features is None:
        return
    opened = partial(open_split, inspection.root, split.name, tokenizer, boxes=True, box_unit=inspection.box_unit)
    inspection.add(f"{split.name} alignments", lambda: AlignmentDataset(opened()))


def _photographs(config: Config, inspection: Inspection) -> None:
    folder, split = config["data"].get("images"), inspection.splits[config["data"]["val_split"]]
    if folder is not None and split.files is not None:
        files = split.files
        inspection.add("photographs", lambda: Photos(files, Path(folder).expanduser()).require(0))


def report(config: Config, inspection: Inspection, tokenizer: CaptionTokenizer | None) -> str:
    """Aligned lines: findings, which models can use the data, memory and time, and the verdict."""
    estimated: list[tuple[str, str]] = []
    if not any(finding.about == "settings" for finding in inspection.findings):
        estimated = inspection.add("settings", lambda: list(estimates(config, inspection, tokenizer))) or []
    root = f"{inspection.root}/"
    lines = [f"checking {inspection.root} for backbone={config['backbone']['name']}"]
    found = [(one.level, one.about, printable(one.text.replace(root, ""))) for one in inspection.findings]
    lines += columns(found, left=3) if found else []
    if inspection.splits:
        usable = [row.name for row in BACKBONES if inspection.usable(boxes=row.boxes)]
        lines += ["", f"usable by: {' '.join(usable) or 'no model'}"]
    lines += [f"{name}: {text}" for name, text in estimated]
    warnings = sum(finding.level == "warning" for finding in inspection.findings)
    lines += ["", f"{counted(inspection.errors, 'error')}, {counted(warnings, 'warning')}"]
    return "\n".join(lines)
