"""The photographs of a split, where they are at hand; a run needs none."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

from selfalign.data.image_ids import read_image_ids, stays_inside
from selfalign.data.layout import SplitFiles
from selfalign.errors import UserError, shown
from selfalign.files.regular_files import read_regular

_LARGEST_FILE = 64 * 2**20
_LARGEST_SIDE = 512
_MOST_PIXELS = 2**25
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_COCO = ("train2014", "val2014")


class Photos:
    """Photographs of a split's images, by row.

    Their names stand in ``{split}_images.txt``, one an image, relative to the folder; without that file, in
    ``{split}_ids.txt`` as numbers of MSCOCO's images, whose files are named after them.

    Args:
        files: of the split.
        folder: of the photographs; ``None`` looks into the data set's folder and its ``images``.

    Raises:
        UserError: if a folder is given and it is none, nothing tells the names, or one leads out of the folder.
    """

    def __init__(self, files: SplitFiles, folder: Path | None) -> None:
        self._names = read_image_ids(files.images) if files.images is not None else []
        if (outside := next((name for name in self._names if not stays_inside(name)), None)) is not None:
            raise UserError(f"images {files.images}: {shown(outside)} leaves the folder of the photographs")
        self._ids = _image_ids(files) if files.images is None else []
        self._folders = [files.root, files.root / "images"] if folder is None else [folder]
        if folder is None:
            return
        if not folder.is_dir():
            raise UserError(f"data.images: {folder} is no folder")
        if not self._names and not self._ids:
            raise UserError(
                f"data.images: nothing tells the photographs' names; add {files.root / files.split}_images.txt, "
                "one file name an image"
            )

    def read(self, image: int) -> Image.Image | None:
        """The photograph of an image, RGB, at most 512 pixels a side; ``None`` where it is not there or is none."""
        path = next((path for path in self._candidates(image) if path.is_file()), None)
        return None if path is None else read_photograph(path)

    def relative(self, image: int) -> str | None:
        """Name of an image's file, relative to the folder of the photographs; ``None`` where nothing tells it."""
        found = next((path for path in self._candidates(image) if path.is_file()), None)
        if found is not None:
            return found.relative_to(self._folders[0]).as_posix()
        return self._names[image] if image < len(self._names) else None

    def name(self, image: int) -> str:
        """What an image is called."""
        return Path(self._names[image]).name if image < len(self._names) else f"image {image}"

    def require(self, image: int) -> None:
        """Refuse photographs that are not those of the split, told by one that has to be there.

        Raises:
            UserError: if it is not.
        """
        if self.read(image) is None:
            looked_for = next(self._candidates(image), self._folders[0])
            raise UserError(f"data.images: no photograph {looked_for}; the validation images have to be there")

    def _candidates(self, image: int) -> Iterator[Path]:
        for folder in self._folders:
            if image < len(self._names):
                yield folder / self._names[image]
            elif image < len(self._ids) and self._ids[image].isdecimal():
                for part in _COCO:
                    name = f"COCO_{part}_{int(self._ids[image]):012}.jpg"
                    yield from (folder / name, folder / part / name)


def _image_ids(files: SplitFiles) -> list[str]:
    """The id of every row, told without captions or features."""
    if files.row_ids is not None:
        return read_image_ids(files.row_ids)
    return [] if files.ids is None else list(dict.fromkeys(read_image_ids(files.ids)))


def read_photograph(path: Path) -> Image.Image | None:
    """A photograph, RGB, at most 512 pixels a side; ``None`` if it is none, or one that no reader should be given."""
    try:
        opened = Image.open(io.BytesIO(read_regular(path, "photograph", _LARGEST_FILE)), formats=_FORMATS)
        opened.draft("RGB", (_LARGEST_SIDE, _LARGEST_SIDE))
        if math.prod(opened.size) > _MOST_PIXELS:  # before they are unpacked: a small file can hold gigabytes
            return None
        photo = ImageOps.exif_transpose(opened).convert("RGB")  # upright, as detectors and browsers read it
    except (UserError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    photo.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return photo
