"""A gallery as somebody else may hand it over: captions and names of files that are HTML, photographs that are none."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

SCRIPT = "<script>window.caught = 1</script> <img src=x onerror='window.caught = 2'> a red star"
NAMES = (
    "with space.png",
    "quote\"and'.png",
    "<script>window.caught = 3<script>.png",
    "%2e%2e%2fpercent.png",
    "ünï.png",
)
"""The first images are called so."""
CUT, WIDE, TEXT = 5, 6, 7
"""Images whose photographs are cut, of 100,000 × 100,000 pixels, and full of compressed text."""


def hostile_copy(scenes: Path, folder: Path) -> Path:
    """The scenes with all of it in their test split."""
    shutil.copytree(scenes, folder)
    names = (folder / "test_images.txt").read_text().splitlines()
    for row, name in enumerate(NAMES):
        (folder / names[row]).rename(folder / "images" / name)
        names[row] = f"images/{name}"
    (folder / "test_images.txt").write_text("\n".join(names) + "\n")
    cut = folder / names[CUT]
    cut.write_bytes(cut.read_bytes()[:200])
    (folder / names[WIDE]).write_bytes(png_of(100_000))
    (folder / names[TEXT]).write_bytes(png_with_text(2**26))
    captions = (folder / "test_caps.txt").read_text().splitlines()
    captions[0] = SCRIPT
    (folder / "test_caps.txt").write_text("\n".join(captions) + "\n")
    return folder


def png_of(side: int) -> bytes:
    """A PNG that says that it is so large."""
    return _png(side, b"")


def png_with_text(size: int) -> bytes:
    """A small PNG with so many bytes of compressed text."""
    return _png(64, _chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"\0" * size, 9)))


def _png(side: int, more: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
