"""The server of the page, on this machine's own address only."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from selfalign.errors import UserError

_HOST = "127.0.0.1"
_LARGEST_REQUEST = 16 * 2**10
"""Bytes of a request's first line and headers; a sentence of 1,000 signs takes 12,000 at most."""


def serve(app: ASGIApp, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        app: of the page.
        port: 0 for any that is free.
        ready: takes the address when it answers.

    Raises:
        UserError: if the port is taken or not ours to take.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"--port {port}: cannot be used ({reason}); without --port one is chosen") from error
        own.listen()
        ready(f"http://{_HOST}:{own.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            http="h11",
            h11_max_incomplete_event_size=_LARGEST_REQUEST,
            limit_concurrency=100,
            timeout_keep_alive=5,
            server_header=False,
            lifespan="off",
        )
        uvicorn.Server(config).run(sockets=[own])
