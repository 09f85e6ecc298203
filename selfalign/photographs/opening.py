"""A photograph is opened without trust: its size is known before it is unpacked, and it comes upright and in RGB."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

MOST_PIXELS = 100_000_000
"""By default; unpacked they take 300 MB."""
PILLOWS_MOST = 178_956_970
"""Above it Pillow itself refuses."""
_LARGEST_FILE = 512 * 2**20
_FORMATS = ("JPEG", "PNG")
_DEEP = ("I", "F")
"""Modes of more than 8 bits."""


class PhotographError(UserError):
    """A photograph that cannot be read; others can."""


def open_photograph(path: Path, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """A JPEG or PNG, upright as its EXIF data say, in RGB.

    Args:
        path: the file.
        most_pixels: it may have; looked at before it is unpacked.

    Raises:
        PhotographError: naming the file, if it is damaged, cut, of another format or too large.
    """
    try:
        file = open_regular(path, "photograph", _LARGEST_FILE)
    except UserError as error:
        raise PhotographError(error) from error
    with file:
        return _opened(file, f"photograph {path}", most_pixels)


def photograph_of(content: bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """:func:`open_photograph` of bytes that came from elsewhere, as an upload.

    Raises:
        PhotographError: if they are damaged, cut, of another format or too large.
    """
    return _opened(io.BytesIO(content), "photograph", most_pixels)


def _opened(file: BinaryIO, what: str, most_pixels: int) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about sizes and EXIF data
        try:
            opened = Image.open(file, formats=_FORMATS)
            if (pixels := math.prod(opened.size)) > most_pixels:
                raise PhotographError(f"{what}: {pixels:,} pixels, more than the {most_pixels:,} allowed")
            opened.load()
            return upright(opened)
        except PhotographError:
            raise
        except UnidentifiedImageError as error:
            raise PhotographError(f"{what}: neither JPEG nor PNG, or cut at its start") from error
        except Image.DecompressionBombError as error:
            raise PhotographError(f"{what}: more than {PILLOWS_MOST:,} pixels, refused unread") from error
        except Exception as error:  # the decoders raise a dozen types on damaged files
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise PhotographError(f"{what}: damaged ({reason})") from error


def upright(picture: Image.Image) -> Image.Image:
    """A picture of any mode in RGB, turned as its EXIF data say; what is transparent is white.

    Example:
        >>> upright(Image.new("RGBA", (2, 1))).getpixel((0, 0))
        (255, 255, 255)
    """
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith(_DEEP):
        return _eight_bits(turned)
    if turned.has_transparency_data:
        layers = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return turned.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8; Pillow's own conversion would make everything brighter than 255 of 65,535 white."""
    if picture.mode == "F":
        raise ValueError("grey values that are fractions")
    values = np.asarray(picture).astype(np.int64).clip(0, 2**16 - 1) // 257
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
