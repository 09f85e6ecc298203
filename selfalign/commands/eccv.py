"""Judge an evaluation of COCO by ECCV Caption and CxC: selfalign eccv EVAL_DIR --data FOLDER.

EVAL_DIR is of python eval.py checkpoints=RUN split=testall save_answers=500, FOLDER the data that it read. Writes
eccv.json beside its results.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say
from selfalign.errors import UserError


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    try:
        _judge(options)
    except UserError as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _judge(options: argparse.Namespace) -> None:
    import json

    from selfalign.files.whole_files import write_whole
    from selfalign.reports.eccv.judgement_table import text
    from selfalign.reports.eccv.judging import judge
    from selfalign.runs.results import JUDGEMENT

    if not options.data.is_dir():
        raise UserError(f"--data {options.data}: no such folder; expected the one that eval.py read")
    judgement = judge(options.run, options.data, options.split)
    path = options.run / JUDGEMENT
    try:
        write_whole(path, json.dumps(judgement.to_dict(), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    say(text(judgement))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign eccv", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, metavar="EVAL_DIR", help="of eval.py split=testall save_answers=500")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="that it read, with {split}_ids.txt")
    parser.add_argument("--split", default="testall", help="COCO's 5,000 test images; testall")
    return parser


if __name__ == "__main__":
    main()
