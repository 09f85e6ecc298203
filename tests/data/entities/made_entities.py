"""Folders in the format of Flickr30K Entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Box = Sequence[float]


def write_entities(
    folder: Path,
    name: str,
    sentences: Sequence[str],
    boxes: Mapping[str, Sequence[Box]],
    size: tuple[int, int],
    without: Mapping[str, str] | None = None,
) -> None:
    """The two files of an image.

    Args:
        folder: with both folders, made where they are missing.
        name: of the image.
        sentences: marked.
        boxes: by id, x1 y1 x2 y2 from 0.
        size: width and height.
        without: ids without a box, and which flag says so.
    """
    for part in ("Sentences", "Annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "Sentences" / f"{name}.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    things = [
        f"<object><name>{identity}</name><bndbox>"
        + "".join(
            f"<{corner}>{value + 1:g}</{corner}>"
            for corner, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        + "</bndbox></object>"
        for identity, own in boxes.items()
        for box in own
    ]
    things += [f"<object><name>{one}</name><{flag}>1</{flag}></object>" for one, flag in (without or {}).items()]
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    content = f"<annotation><filename>{name}.jpg</filename>{shape}{''.join(things)}</annotation>"
    (folder / "Annotations" / f"{name}.xml").write_text(content, encoding="utf-8")


def scenes_as_entities(root: Path, split: str, folder: Path) -> None:
    """The alignments of scenes, each noun with what is said of it a phrase, its objects' boxes those of an id."""
    captions = (root / f"{split}_caps.txt").read_text().splitlines()
    names = (root / f"{split}_images.txt").read_text().splitlines()
    rows = np.load(root / f"{split}_alignments.npy")
    sizes = np.load(root / f"{split}_img_sizes.npy")
    marked = [caption.split() for caption in captions]
    boxes: dict[int, dict[str, list[Box]]] = {image: {} for image in range(len(names))}
    for caption, word, *box in rows.tolist():
        line, noun = int(caption), int(word)
        identity = f"{1 + 100 * line + noun}"
        own = boxes[line // 5].setdefault(identity, [])
        if not own:
            plain = captions[line].split()
            first = next(place + 1 for place in range(noun - 1, -1, -1) if plain[place] in ("a", "an"))
            marked[line][first - 1] = f"[/EN#{identity}/other {marked[line][first - 1]}"
            marked[line][noun] += "]"
        own.append(box)
    for image, name in enumerate(names):
        sentences = [" ".join(words) for words in marked[5 * image : 5 * image + 5]]
        width, height = sizes[image].astype(int).tolist()
        write_entities(folder, Path(name).stem, sentences, boxes[image], (width, height))
