"""A new photograph that somebody shows the page: read in bounds, unpacked in bounds, answered with captions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from selfalign.gallery.index import Index
from selfalign.photographs import Extractor
from selfalign.photographs.opening import photograph_of
from selfalign.retriever import Retriever

LARGEST = 32 * 2**20
"""Bytes of a photograph."""
_MOST_PIXELS = 50_000_000
_KIND = "application/octet-stream"
"""A page of elsewhere cannot send it without asking first, and is not answered then."""
_AT_ONCE = 2
_CAPTIONS = 10
_PATIENCE = 60.0
"""Seconds in which a photograph has to arrive."""


class NewPhotographs:
    """Finds the captions of photographs that are not in the index.

    Args:
        index: with captions.
        model: that made it.
        extractor: of the model's training features.
    """

    def __init__(self, index: Index, model: Retriever, extractor: Extractor) -> None:
        self._index, self._model, self._extractor = index, model, extractor

    def captions(self, content: bytes, top: int, turn: threading.Lock) -> dict[str, Any]:
        """The best captions of a photograph.

        Args:
            content: of a JPEG or PNG file.
            top: how many.
            turn: held while the model works.

        Raises:
            UserError: if it is none that can be read.
        """
        started = time.perf_counter()
        with turn:
            picture = photograph_of(content, _MOST_PIXELS)
            hits = self._index.search(self._encoded(picture), top)
        found = zip(hits.rows[0].tolist(), hits.scores[0].tolist(), strict=True)
        captions = [
            {"caption": self._index.captions[row], "score": score, "row": self._index.image_of_caption(row)}
            for row, score in found
        ]
        return {"captions": captions, "size": list(picture.size), "seconds": time.perf_counter() - started}

    def _encoded(self, picture: Image.Image) -> Any:
        return self._model.encode_photographs([picture], self._extractor)


def captions_of_uploads(new: NewPhotographs | None, turn: threading.Lock) -> Callable[[Request], Awaitable[Response]]:
    """What answers uploads: a few at once, none larger than allowed, none that takes for ever to arrive.

    Args:
        new: that answers; ``None`` where no photographs are taken.
        turn: held while the model works.
    """
    inside = 0

    async def answer(request: Request) -> Response:
        nonlocal inside
        if new is None:
            raise HTTPException(404, "This page takes no photographs: its extractor is not at hand.")
        _require_fitting(request.headers)
        if inside >= _AT_ONCE:
            raise HTTPException(503, "Other photographs are being looked at; try again in a moment.")
        inside += 1
        try:
            content = await _arrived(request)
            return JSONResponse(await run_in_threadpool(new.captions, content, _CAPTIONS, turn))
        finally:
            inside -= 1

    return answer


def _require_fitting(headers: Headers) -> None:
    """Refuse what need not be read.

    Raises:
        HTTPException: if it is larger or of another kind.
    """
    if headers.get("content-type") != _KIND:
        raise HTTPException(415, f"Expected a photograph as {_KIND}.")
    told = headers.get("content-length", "0")
    if told.isascii() and told.isdecimal() and len(told) < 20 and int(told) > LARGEST:
        raise _too_large()


async def _arrived(request: Request) -> bytes:
    content = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                content += part
                if len(content) > LARGEST:
                    raise _too_large()
    except TimeoutError as error:
        raise HTTPException(408, "The photograph did not arrive in time.") from error
    if not content:
        raise HTTPException(400, "The photograph is empty.")
    return bytes(content)


def _too_large() -> HTTPException:
    """Of what is refused unread."""
    return HTTPException(413, f"A photograph has at most {LARGEST / 2**20:.0f} MB.")
