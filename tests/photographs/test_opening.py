"""A photograph is opened upright, in RGB, and not at all where it would take the machine's memory."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from selfalign.photographs.opening import PhotographError, open_photograph, upright
from tests.photographs.tiny_models import save_photograph


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_whichever_way_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_photograph(tmp_path / "a.png", exif=exif)
    plain = Image.open(path)
    plain.load()
    expected = ImageOps.exif_transpose(plain)
    found = open_photograph(path)
    assert found.size == ((40, 60) if orientation >= 5 else (60, 40))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert (orientation == 1) == np.array_equal(np.asarray(found), np.asarray(plain.convert("RGB")))


def test_every_mode_becomes_the_colours_that_a_viewer_shows() -> None:
    deep = Image.fromarray(np.array([[0, 25700, 65535]], np.uint16))
    assert np.asarray(upright(deep))[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]
    glass = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert upright(glass).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("RGB", (1, 1), "blue").convert("P")
    assert upright(palette).getpixel((0, 0)) == (0, 0, 255)
    assert upright(Image.new("L", (1, 1), 7)).getpixel((0, 0)) == (7, 7, 7)
    assert upright(Image.new("CMYK", (1, 1), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


def png(width: int, height: int, *chunks: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    texts = b"".join(chunk(b"zTXt", content) for content in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + texts + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg_of_size(path: Path, width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    content = bytearray(save_photograph(path).read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("kind", ["png", "jpg", "larger than allowed", "text"])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_does(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.jpg"
    if kind == "png":
        path.write_bytes(png(100_000, 100_000))
    elif kind == "jpg":
        path.write_bytes(jpeg_of_size(path, 65_000, 65_000))
    elif kind == "larger than allowed":
        path.write_bytes(png(12_000, 12_000))
    else:
        path.write_bytes(png(4, 4, *[b"a\0\0" + zlib.compress(bytes(50 * 2**20))] * 3))
    tracemalloc.start()
    with pytest.raises(PhotographError, match=r"pixels|MAX_TEXT") as caught:
        open_photograph(path)
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_texts_that_are_large_together_are_refused(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(80):
        info.add_text(f"key{number}", "x" * 2**20, zip=True)
    path = tmp_path / "texts.png"
    Image.new("RGB", (4, 4)).save(path, pnginfo=info)
    with pytest.raises(PhotographError, match="damaged"):
        open_photograph(path)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0, 1, 10, 0.5, 0.9])
def test_a_photograph_that_is_cut_is_named(ending: str, kept: float, tmp_path: Path) -> None:
    path = save_photograph(tmp_path / f"two words.{ending}", size=(300, 200))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(PhotographError, match=r"photograph .*two words\.\w+: ") as caught:
        open_photograph(path)
    assert "\n" not in str(caught.value)


def test_other_formats_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "c.jpg").mkdir()
    for name in ("a.png", "b.jpg", "c.jpg", "missing.jpg"):
        with pytest.raises(PhotographError, match=name):
            open_photograph(tmp_path / name)
