"""``selfalign terms RUN``: what each loss is on right and on wrong pairs, and how hard it pulls at each tower.

A loss that is the same on right and on wrong pairs does not know which caption belongs to which image; one whose
gradient is a thousandth of another's changes nothing beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say, warn
from selfalign.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 for a bad model or data set."""
    options = _parser().parse_args(arguments)
    from selfalign.engine.building import build_data
    from selfalign.engine.loss_terms import loss_terms
    from selfalign.engine.restoring import restore

    try:
        restored = restore(options.model)
        config = restored.provenance.config
        split = build_data(config, restored.tokenizer).split(options.split)
        terms = loss_terms(
            restored.module, split, batch_size=config["data"]["batch_size"], batches=max(1, options.batches)
        )
    except UserError as error:
        warn(one_line(error))
        return 2
    say(f"{'loss × weight':15}{'right pairs':>12}{'wrong pairs':>12}{'∂ images':>12}{'∂ words':>12}")
    for term in terms:
        say(f"{term.name:15}{term.right:12.4f}{term.wrong:12.4f}{term.image_gradient:12.3g}{term.text_gradient:12.3g}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign terms", description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a run folder or a checkpoint")
    parser.add_argument("--split", default="test", choices=("val", "test"), help="whose pairs (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=3, help="batches that are averaged (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
