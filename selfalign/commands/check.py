"""Check everything that a run would need, before it runs: selfalign check data=coco backbone=camera.

Takes train.py's settings. Lists all that is wrong in all splits, and leaves nothing behind. Exit code 0 when nothing is
an error, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfalign.console import say
from selfalign.errors import UserError

if TYPE_CHECKING:  # what needs torch is imported when it is used: --help answers at once
    from selfalign.data.checks.inspection import Inspection
    from selfalign.data.text.tokenizers import CaptionTokenizer

Config = dict[str, Any]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="selfalign check", description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="read all values; otherwise above 512 MB a sample")
    parser.add_argument("--checksums", action="store_true", help="also read all files and compare them with SHA256SUMS")
    parser.add_argument("settings", nargs="*", help="as of train.py: data=coco backbone=vsrn data.root=DIR")
    options = parser.parse_intermixed_args()
    from selfalign.commands import hydra_app

    hydra_app.launch(partial(_check, options))


def _check(options: argparse.Namespace) -> None:
    from selfalign.commands.composing import composed

    config = composed(options.settings)
    inspection = inspect(config, full=options.full, checksums=options.checksums)
    tokenizer = words(config, inspection)
    say(report(config, inspection, tokenizer))
    sys.exit(1 if inspection.errors else 0)


def inspect(config: Config, *, full: bool, checksums: bool) -> Inspection:
    """All findings on the data of a run.

    Args:
        config: of train.py, plain values.
        full: read every value.
        checksums: compare the files with ``SHA256SUMS``.
    """
    from selfalign.data.checks.checksums import checksum_findings
    from selfalign.data.checks.findings import Finding
    from selfalign.data.checks.inspection import Inspection
    from selfalign.data.datamodule import require_three_splits

    data = config["data"]
    inspection = Inspection(Path(data["root"]), boxes=config["backbone"]["name"] == "camera", full=full)
    if data["scenes"] is not None and not inspection.root.exists():
        inspection.findings.append(Finding("ok", "scenes", f"{inspection.root} is not there; the run draws it first"))
        return inspection
    names = [data[f"{role}_split"] for role in ("train", "val", "test")]
    inspection.add("all splits", lambda: require_three_splits(*names))
    for name in dict.fromkeys(names):
        inspection.split(name)
    inspection.together()
    _protocols(config, inspection)
    if checksums:
        inspection.findings += checksum_findings(inspection.root)
    return inspection


def _protocols(config: Config, inspection: Inspection) -> None:
    from selfalign.data.regions.features import CAPTIONS_PER_IMAGE
    from selfalign.metrics.protocols import check_protocol

    name = config["data"]["test_split"]
    features = inspection.splits[name].features
    if features is None:
        return
    for protocol in config["data"]["protocol"]:
        job = partial(check_protocol, protocol, features.images, CAPTIONS_PER_IMAGE * features.images)
        inspection.add(f"{name} protocol", job)


def words(config: Config, inspection: Inspection) -> CaptionTokenizer | None:
    """The tokenizer of the run, where it can be built, and the share of words that it does not know."""
    from selfalign.data.checks.findings import Finding
    from selfalign.data.text.tokenizers import check_unknown_share, unknown_share
    from selfalign.engine.building import build_tokenizer

    if not inspection.splits or any(split.texts is None for split in inspection.splits.values()):
        return None
    tokenizer = inspection.add("tokenizer", lambda: build_tokenizer(config, lambda line: None))
    if tokenizer is None:
        return None
    for split in inspection.splits.values():
        share = unknown_share(tokenizer.encode(split.texts or []), tokenizer.unknown_id)
        where = str(split.files.captions if split.files else split.name)
        try:
            check_unknown_share(share, where)
        except UserError as error:
            inspection.findings.append(Finding("error", f"{split.name} words", str(error)))
        else:
            text = f"{share:.2%} unknown to {tokenizer.vocabulary_size:,} words or word pieces"
            inspection.findings.append(Finding("ok", f"{split.name} words", text))
    return tokenizer


def report(config: Config, inspection: Inspection, tokenizer: CaptionTokenizer | None) -> str:
    """Aligned lines: findings, which models can use the data, memory and time, and the verdict."""
    from selfalign.data.checks.findings import counted
    from selfalign.engine.estimates import estimates

    root = f"{inspection.root}/"
    width = max((len(finding.about) for finding in inspection.findings), default=0)
    lines = [f"checking {inspection.root} for backbone={config['backbone']['name']}"]
    for finding in inspection.findings:
        text = finding.text.replace(root, "")
        lines.append(f"{finding.level:8} {finding.about:{width}}  {text}")
    if inspection.splits:
        lines += ["", f"usable by: {' '.join(inspection.usable_by) or 'no model'}"]
    lines += [f"{name}: {text}" for name, text in estimates(config, inspection, tokenizer)]
    warnings = sum(finding.level == "warning" for finding in inspection.findings)
    lines += ["", f"{counted(inspection.errors, 'error')}, {counted(warnings, 'warning')}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
