"""Time what is fast against what is not: python -m tests.benchmarks [ROUTINE ...] [--device cuda] [--width 256] ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

import torch

from selfalign.functional.ranks import TILE_CAPTIONS
from tests.benchmarks import parts, routines, steps
from tests.benchmarks.loading import pairs_per_second
from tests.benchmarks.measure import Factory, Measurement, clock, compare, compare_processes
from tests.benchmarks.peers import PEERS, SLOW, TIED, by_torchmetrics, gallery, measured, protocols
from tests.benchmarks.routines import Size
from tests.benchmarks.searching import searches

_SAMPLE = 40
_LINEAR = (1000, 10_000, 100_000)
_GALLERIES = (1000, 100_000, 1_000_000)
_SEARCHED_WIDTH = 1024
_BY_ROWS = 200
"""Images of which torchmetrics takes every pair as a row."""
_SMALL = 500
_BY_FAISS = 100_000
"""Images; lists of more take minutes to learn."""


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    size = Size(
        batch=arguments.batch,
        regions=36,
        width=arguments.width,
        prototypes=1024,
        views=12,
        images=arguments.images,
        device=device,
        dtype={"32": torch.float32, "bf16": torch.bfloat16}[arguments.precision],
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    _say(f"{name}, torch {torch.__version__}, batch {size.batch}, 36 x {size.width}, precision {arguments.precision}")
    _say(f"Times in {clock(device)[1]}.")
    _say(
        f"{'':26}{'ours':>11}{'authors':>11}{'bare':>11}{'authors/ours':>14}{'ours/bare':>11}{'peak ours/authors':>19}"
    )
    for routine in arguments.routines:
        _RUN[routine](size, arguments.repeats)


def _concept(size: Size, repeats: int) -> None:
    _row("concept alignment", routines.concept(size), size, repeats)


def _context(size: Size, repeats: int) -> None:
    _row("context alignment", routines.context(size), size, repeats)


def _words(size: Size, repeats: int) -> None:
    found = compare(routines.words(size), repeats, size.device)
    ours, bare = found["ours"], found["bare"]
    _say(
        f"{'word-region contrast':26}{_time(ours.seconds)}{'':11}{_time(bare.seconds)}{'':14}"
        f"{ours.seconds / bare.seconds:10.2f}x  ({_mebibytes(ours)}; bare products {_mebibytes(bare)})"
    )
    for name in ("camera", "vsrn"):
        steps_found = compare(parts.word_contrast(name, size), _few(repeats), size.device)
        whole, without = steps_found["with"], steps_found["without"]
        _say(
            f"{'step ' + name.upper() + ', loss=words':26}{_time(whole.seconds)}, without the contrast "
            f"{_time(without.seconds)}: it is {100 * (1 - without.seconds / whole.seconds):.1f} % of the step  "
            f"({_mebibytes(whole)}; without {_mebibytes(without)})"
        )


def _parts(size: Size, repeats: int) -> None:
    found = compare(parts.recipes(size), _few(repeats), size.device)
    published = found["published"].seconds
    for name, cost in found.items():
        added = 100 * (cost.seconds / published - 1)
        _say(f"step CAMERA, {name:22}{_time(cost.seconds)}{added:+8.1f} %  ({_mebibytes(cost)})")


def _attention(size: Size, repeats: int) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        found = compare(routines.attentions(size, dtype), repeats, size.device)
        costs = {name: f"{_time(cost.seconds)} ({_mebibytes(cost)})" for name, cost in found.items()}
        _say(f"attention {str(dtype).removeprefix('torch.'):16}" + ", ".join(f"{n} {c}" for n, c in costs.items()))


def _averages(size: Size, repeats: int) -> None:
    found = compare(parts.averages(size), repeats, size.device)["averages"]
    _say(f"averaging the weights of CAMERA after a step: {_time(found.seconds)}  ({_mebibytes(found)})")


def _scoring(size: Size, repeats: int) -> None:
    captions = 5 * size.images
    name = f"scoring {size.images:,} x {captions:,}"
    _row(name, routines.scoring(size, _SAMPLE), size, _few(repeats), scale=captions / _SAMPLE)
    _say(f"{'':4}authors' time: matching and sorting {_SAMPLE} captions and {_SAMPLE // 5} images, scaled up")


def _protocols(size: Size, repeats: int) -> None:
    found = compare(protocols(gallery(size.images, _SEARCHED_WIDTH)), _few(repeats), size.device)
    for name, cost in found.items():
        share = cost.seconds / found["full"].seconds
        _say(f"{name:42}{_time(cost.seconds)}{share:8.2f} of full  ({_mebibytes(cost)})")


def _camera(size: Size, repeats: int) -> None:
    _step("step CAMERA + SelfAlign", steps.training_step("camera", size), size, repeats)


def _cached(size: Size, repeats: int) -> None:
    _step("the same, BERT cached", steps.training_step("camera", size, kept_bert=True), size, repeats)


def _vsrn(size: Size, repeats: int) -> None:
    _step("step VSRN + SelfAlign", steps.training_step("vsrn", size), size, repeats)


def _loading(size: Size, repeats: int) -> None:
    for dtype in ("float32", "float16"):
        _say(f"loading {dtype}: {pairs_per_second(dtype, width=size.width):,.0f} pairs/s, one core, warm page cache")


def _linear(size: Size, repeats: int) -> None:
    found = compare({str(images): routines.queries(size, images) for images in _LINEAR}, repeats, size.device)
    for images in _LINEAR:
        cost = 1e9 * found[str(images)].seconds / (TILE_CAPTIONS * images)
        _say(f"ranks of {TILE_CAPTIONS:,} captions among {images:>7,} images: {cost:8.2f} ns a pair")


def _search(size: Size, repeats: int) -> None:
    for found in searches(_GALLERIES, _SEARCHED_WIDTH, repeats, largest=_BY_FAISS):
        _say(
            f"search among {found.images:>9,} x {_SEARCHED_WIDTH}: {_time(found.first)} the first, "
            f"{_time(found.again)} the next, {found.peak / 2**20:,.0f} MiB beyond PyTorch, "
            f"{found.bytes / 1e6:,.0f} MB on disk"
        )
        if found.approximate is not None:
            seconds, measured = found.approximate
            _say(
                f"{'':4}by FAISS {_time(seconds)}, {measured.probes} of {measured.lists} lists, recall "
                f"{measured.recall:.3f}; random vectors form no groups, which is the worst case"
            )


def _peers(size: Size, repeats: int) -> None:
    small = size.images <= _SMALL
    rounds = max(1, repeats - 2)
    for images, found in (
        (
            size.images,
            measured(gallery(size.images, _SEARCHED_WIDTH), PEERS, rounds, once=() if small else SLOW, tied=TIED),
        ),
        (_BY_ROWS, measured(gallery(_BY_ROWS, _SEARCHED_WIDTH), {**PEERS, "torchmetrics": by_torchmetrics}, rounds)),
    ):
        _say(f"recalls both ways, {images:,} x {5 * images:,}, {_SEARCHED_WIDTH} wide; seconds of the processor:")
        for name, cost in found.items():
            ratios = [cost.seconds / found[other].seconds for other in ("ours", "product, top-k")]
            _say(
                f"{'':4}{name:22}{_time(cost.seconds)}{ratios[0]:8.2f} of ours{ratios[1]:8.2f} of the product"
                f"{cost.peak / 2**20:10,.0f} MiB"
            )
        for name in ("ours", "product, top-k"):
            _say(f"{'':4}recalls, {name}: {', '.join(f'{value:.3f}' for value in found[name].recalls)}")


_RUN = {
    "concept": _concept,
    "context": _context,
    "words": _words,
    "camera": _camera,
    "cached": _cached,
    "vsrn": _vsrn,
    "attention": _attention,
    "parts": _parts,
    "averages": _averages,
    "scoring": _scoring,
    "protocols": _protocols,
    "linear": _linear,
    "loading": _loading,
    "search": _search,
    "peers": _peers,
}


def _few(repeats: int) -> int:
    """Rounds of what takes long."""
    return max(1, repeats // 4)


def _row(name: str, functions: routines.Functions, size: Size, repeats: int, scale: float = 1.0) -> None:
    _line(name, compare(functions, repeats, size.device), scale)


def _step(name: str, factories: Mapping[str, Factory], size: Size, repeats: int) -> None:
    _line(name, compare_processes(factories, _few(repeats), size.device))


def _line(name: str, found: Mapping[str, Measurement], scale: float = 1.0) -> None:
    ours, theirs = found["ours"].seconds, scale * found["theirs"].seconds
    line = f"{name:26}{_time(ours)}{_time(theirs)}"
    if "bare" in found:
        bare = found["bare"].seconds
        line += f"{_time(bare)}{theirs / ours:13.2f}x{ours / bare:10.2f}x"
    else:
        line += f"{'':11}{theirs / ours:13.2f}x{'':11}"
    peaks = found["ours"].peak / 2**20, found["theirs"].peak / 2**20
    if scale == 1.0:
        line += f"{peaks[0] / max(peaks[1], 1e-9):8.2f}x"
    _say(line + f"  ({peaks[0]:,.0f} / {peaks[1]:,.0f} MiB)")


def _mebibytes(found: Measurement) -> str:
    return f"{found.peak / 2**20:,.0f} MiB"


def _time(seconds: float) -> str:
    return f"{seconds:9.2f} s" if seconds >= 1 else f"{1000 * seconds:8.1f} ms"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("routines", nargs="*", default=list(_RUN), help=f"of {', '.join(_RUN)}; all if none is named")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--width", type=int, default=2048, help="D and F")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=5000, help="gallery of the scoring routine and of peers")
    parser.add_argument("--small", action="store_true", help=f"a gallery of {_SMALL} images, for a first look")
    parser.add_argument(
        "--precision", choices=("32", "bf16"), default="32", help="bf16: our steps, by autocast; theirs stay in fp32"
    )
    parser.add_argument("--repeats", type=int, default=5, help="of short routines; long ones take a quarter")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.images = _SMALL
    unknown = set(arguments.routines) - set(_RUN)
    if unknown:
        parser.error(f"unknown routine {unknown.pop()!r}")
    return arguments


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
