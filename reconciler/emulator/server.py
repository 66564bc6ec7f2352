"""Give an application a real socket: ``serve`` until a signal comes, or ``running`` for as long as a block lasts."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.emulator.faults import HANG_UP


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and that ends, rather than dies, on a signal."""

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                _able_to_hang_up(app),
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM.  uvicorn would raise the signal again after a clean shutdown."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _able_to_hang_up(app: ASGIApp) -> ASGIApp:
    """Tell the application how to close its connection without an answer, which ASGI has no word for."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope[HANG_UP] = transport.close
        await app(scope, receive, send)

    return door


class Unavailable(OSError):
    """An address that cannot be listened at; ``str()`` says why in a few words."""


def _listening(host: str, port: int) -> tuple[socket.socket, str]:
    """A bound socket and the base URL it answers at.  Raises Unavailable if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only a socket that says TCP gets TCP_NODELAY from asyncio; without it every answer waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)
    except (OSError, UnicodeError) as error:  # the latter for a name that can be no host's
        bound.close()
        raise Unavailable((getattr(error, "strerror", None) or str(error)).lower()) from error
    shown = f"[{host}]" if ":" in host else host
    return bound, f"http://{shown}:{bound.getsockname()[1]}"


def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then return.  ``port=0`` takes a free one.

    ``on_ready`` is called once, with the base URL (no trailing slash), when requests are being answered.
    Raises Unavailable if the address cannot be had.
    """
    bound, url = _listening(host, port)
    with bound:
        _Server(app, lambda: on_ready(url)).run(sockets=[bound])


@contextmanager
def running(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread while the block lasts; yields the base URL, such as ``http://127.0.0.1:49152``."""
    bound, url = _listening(host, port)
    ready = threading.Event()
    server = _Server(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="emulator", daemon=True)
    with bound:
        thread.start()
        try:
            if not ready.wait(timeout=30):
                raise RuntimeError("the emulator did not start within 30 s")
            yield url
        finally:
            server.should_exit = True
            thread.join(timeout=30)
