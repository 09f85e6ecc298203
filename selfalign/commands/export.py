"""``selfalign export MODEL --to DIR``: a trained model as a folder for others, or at the Hugging Face hub.

Writes ``model.safetensors``, ``config.json`` (settings and vocabulary) and a model card with the figures of the run.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from selfalign.console import finished, say
from selfalign.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 where the model cannot be read, written or sent."""
    options = _parser().parse_args(arguments)
    return finished(partial(_export, options))


def _export(options: argparse.Namespace) -> None:
    import selfalign

    if options.to is None and options.vocabulary is None:
        raise UserError("export: expected --to DIR, --vocabulary FILE, or both")
    model = selfalign.load(options.model, device="cpu")
    if options.vocabulary is not None:
        words = model.export_vocabulary(options.vocabulary)
        say(f"wrote {options.vocabulary}: {words:,} words, for backbone.vocabulary.file")
    if options.to is None:
        return
    results = options.results or run_of(options.model)
    model.export(options.to, results)
    told = "no figures: it was not evaluated" if results is None else f"figures of {results}"
    say(f"wrote {options.to}: the model, and a card with {told}")
    if options.push is not None:
        address = push(options.to, options.push, private=not options.public)
        say(f"sent to {address}")
    say("fill in the licence in the card, README.md: that of your data and features binds the weights")


def run_of(model: str) -> Path | None:
    """The evaluated run that a model is the best of; ``None`` where there is none."""
    from selfalign.runs.folder import BEST
    from selfalign.runs.results import RESULTS

    path = Path(model).expanduser()
    folder = path.parents[1] if path.name == BEST and path.parent.name == "checkpoints" else path
    return folder if (folder / RESULTS).is_file() and (folder / "checkpoints" / BEST).is_file() else None


def push(folder: Path, name: str, *, private: bool) -> str:
    """Send an exported folder to the hub.

    Args:
        folder: written by :meth:`selfalign.retriever.Retriever.export`; no other file of it is sent.
        name: ``user/name``, made where it is not there.
        private: of a name that is made.

    Returns:
        its address.

    Raises:
        UserError: if the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    from selfalign.runs.exported import BLUEPRINT, CARD, WEIGHTS

    hub = HfApi()
    try:
        address = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=[WEIGHTS, BLUEPRINT, CARD])
    except Exception as error:  # of the network, the hub, or its client
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"--push {name}: {folder} is written, and not sent ({reason}); hf auth login logs in"
        ) from error
    return str(address)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selfalign export", description="Write a trained model as a folder for others."
    )
    parser.add_argument("model", help="a run folder or a checkpoint")
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--vocabulary", type=Path, metavar="FILE", help="write the model's words as JSON, for backbone.vocabulary.file"
    )
    parser.add_argument(
        "--results", type=Path, metavar="RUN", help="the evaluation whose figures go into the card; the model's own run"
    )
    parser.add_argument("--push", metavar="USER/NAME", help="also send it to the Hugging Face hub, as a private model")
    parser.add_argument("--public", action="store_true", help="with --push: everybody can see a name that is made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
