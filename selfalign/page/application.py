"""What the page asks the server, and what it is told."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selfalign.data.photographs import read_photograph
from selfalign.errors import UserError
from selfalign.gallery.closer_look import CloserLook
from selfalign.gallery.index import Index
from selfalign.page.uploads import LARGEST, NewPhotographs, captions_of_uploads
from selfalign.photographs import Extractor
from selfalign.retriever import Retriever

LONGEST = 1000
"""Characters of a sentence."""
MOST = 100
"""Pictures of an answer."""
_EXAMPLES = 3
_STATIC = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_HOSTS = ["127.0.0.1", "localhost"]
"""A page of elsewhere that calls itself by another name is refused."""


class PageAnswers:
    """What is known about an index, as plain values; one question at a time.

    Args:
        index: that is searched.
        model: that made it.
        look: at single images; ``None`` where their regions are not there.
        photographs: folder of the photographs; ``None`` for where they were.
        extractor: of the model's training features; ``None`` where it is not at hand: no new photographs then.
    """

    def __init__(
        self,
        index: Index,
        model: Retriever,
        look: CloserLook | None,
        photographs: Path | None = None,
        extractor: Extractor | None = None,
    ) -> None:
        self.new = None if extractor is None or not index.captions else NewPhotographs(index, model, extractor)
        self._index, self._model, self._look = index, model, look
        self._photographs = Path(index.record.photographs) if photographs is None else photographs
        self.turn = threading.Lock()

    def about(self) -> dict[str, Any]:
        """The gallery and its model, in a few words."""
        record = self._index.record
        models = [str(config["backbone"]["name"]) for config in self._model.configs]
        rows = sorted({record.captions * place // _EXAMPLES for place in range(_EXAMPLES)})
        return {
            "images": record.images,
            "data": Path(record.data).name,
            "split": record.split,
            "model": " + ".join(models),
            "longest": LONGEST,
            "largest": None if self.new is None else LARGEST,
            "examples": [self._index.captions[row][:LONGEST] for row in rows] if record.captions else [],
        }

    def search(self, sentence: str, top: int) -> dict[str, Any]:
        """The best images of a sentence."""
        started = time.perf_counter()
        with self.turn:
            hits = self._index.search(self._model.encode_captions([sentence]), top)
        found = zip(hits.rows[0].tolist(), hits.scores[0].tolist(), strict=True)
        images = [self._image(row) | {"score": score} for row, score in found]
        return {"sentence": sentence, "images": images, "seconds": time.perf_counter() - started}

    def image(self, row: int, sentence: str | None) -> dict[str, Any]:
        """An image with its captions and, for a sentence, what its words chose."""
        found = self._image(row)
        found["captions"] = [self._index.captions[caption] for caption in self._index.image(row).captions]
        return found | ({"words": None, "note": None} if sentence is None else self._words(row, sentence))

    def photograph(self, row: int) -> tuple[bytes, str] | None:
        """The photograph of an image and its type, made anew from its pixels; ``None`` where there is none."""
        path = self._path(row)
        photo = None if path is None else read_photograph(path)
        if photo is None or path is None:
            return None
        kind = "PNG" if path.suffix.lower() in (".png", ".gif", ".bmp") else "JPEG"
        content = io.BytesIO()
        photo.save(content, kind, quality=90)
        return content.getvalue(), f"image/{kind.lower()}"

    def _image(self, row: int) -> dict[str, Any]:
        image, path = self._index.image(row), self._path(row)
        return {
            "row": row,
            "id": image.id if self._index.has_ids else None,
            "name": image.name,
            "caption": self._index.captions[image.captions[0]] if image.captions else "",
            "photograph": path is not None and path.is_file(),
        }

    def _path(self, row: int) -> Path | None:
        name = self._index.image(row).name
        return None if name is None else self._photographs / name

    def _words(self, row: int, sentence: str) -> dict[str, Any]:
        if self._look is None:
            return {"words": None, "note": "The regions of the images are not where they were; words choose nothing."}
        try:
            with self.turn:
                words = self._look.words(row, sentence)
        except UserError as error:
            return {"words": None, "note": str(error)}
        if words is None:
            return {"words": None, "note": "Words of this model cannot be compared with regions."}
        return {
            "words": [asdict(word) for word in words],
            "note": None if words else "No word that a region could show.",
        }


def application(answers: PageAnswers) -> ASGIApp:
    """The page's server."""

    def search(request: Request) -> Response:
        sentence = _sentence(request)
        if sentence is None:
            raise HTTPException(400, "Type a sentence.")
        return JSONResponse(answers.search(sentence, _number(request.query_params.get("top", "5"), 1, MOST)))

    def image(request: Request) -> Response:
        return JSONResponse(answers.image(_number(request.path_params["row"], 0, None), _sentence(request)))

    def photograph(request: Request) -> Response:
        found = answers.photograph(_number(request.path_params["row"], 0, None))
        if found is None:
            raise HTTPException(404, "There is no photograph of that image.")
        return Response(found[0], media_type=found[1])

    def about(_: Request) -> Response:
        return JSONResponse(answers.about())

    def static(request: Request) -> Response:
        name = request.path_params.get("name", "page.html")
        if name not in _STATIC:
            raise HTTPException(404, "There is no such page.")
        content = resources.files("selfalign.page").joinpath("static", name).read_bytes()
        return Response(content, media_type=_STATIC[name])

    routes = [
        Route("/", static),
        Route("/static/{name}", static),
        Route("/about", about),
        Route("/search", search),
        Route("/image/{row}", image),
        Route("/photograph/{row}", photograph),
        Route("/captions", captions_of_uploads(answers.new, answers.turn), methods=["POST"]),
    ]
    handlers: Mapping[Any, Callable[[Request, Any], Response | Awaitable[Response]]] = {
        HTTPException: _told,
        UserError: _refused,
        Exception: _failed,
    }
    app = Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)],
        exception_handlers=handlers,
    )
    return _with_headers(app)


def _sentence(request: Request) -> str | None:
    """The sentence of a question; ``None`` where it is empty."""
    text = request.query_params.get("q", "")
    if len(text) > LONGEST:
        raise HTTPException(413, f"A sentence has at most {LONGEST:,} characters; this one has {len(text):,}.")
    return " ".join(text.split()) or None


def _number(text: str, least: int, most: int | None) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise HTTPException(404, "Expected a number.")
    number = int(text)
    if number < least or (most is not None and number > most):
        raise HTTPException(400, f"Expected a number from {least} to {most}.")
    return number


def _told(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


def _refused(_: Request, error: UserError) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _failed(_: Request, __: Exception) -> Response:
    """Of a bug; Starlette raises it on, so that the terminal has the traceback."""
    return JSONResponse({"error": "The server failed; its terminal says why."}, 500)


def _with_headers(app: ASGIApp) -> ASGIApp:
    """The same with :data:`HEADERS` on everything, errors too."""
    added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        await app(scope, receive, send_more)

    return answer
