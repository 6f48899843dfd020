"""A page for the user of this computer alone: a small HTTP server that answers nobody else.

It listens on 127.0.0.1. Every address begins with a random token, so that another user of the computer, or a page that
the browser has open, does not find it; the token is compared in constant time. A request whose Host header is another
(DNS rebinding) or whose Origin is another page's is refused. Nothing is logged, and nothing may be cached, framed or
loaded from elsewhere.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from radrl.errors import UserError, in_words, one_line, out_of_memory

SECONDS = 60  # that a request may keep silent
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Reply(NamedTuple):
    """What a request gets; ``policy`` is its content security policy."""

    body: bytes
    kind: str
    status: int = 200
    policy: str = NOTHING


class Route(NamedTuple):
    """What answers one address. ``answer`` takes the body and its content type; the line of a UserError that it raises
    is sent as ``{"error": ...}``. With ``most_bytes`` it takes a POST with a body of at most so many, else a GET."""

    answer: Callable[[bytes, str], Reply]
    most_bytes: int = 0


def json_reply(value: Any, status: int = 200) -> Reply:
    """Returns a reply in JSON."""
    return Reply(json.dumps(value, allow_nan=False).encode(), "application/json", status)


class LocalServer(ThreadingHTTPServer):
    """Serves ``routes``, by what follows the token in an address (``""``: the page itself), on 127.0.0.1.

    Args:
        routes: what answers each address.
        port: 0 takes a free one.

    Raises:
        UserError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, routes: Mapping[str, Route], port: int = 0) -> None:
        self.routes, self.token = routes, secrets.token_urlsafe(32)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UserError(f"--port {port}: {in_words(error)}; choose another, or 0 for a free one") from None
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def address(self) -> str:
        """The address of the page, with its token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing where a browser hangs up, and of what else fails outside a route its type alone."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"radrl: a request failed ({type(error).__name__})", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = SECONDS
    server_version, sys_version = "radrl", ""

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: an address holds the token."""

    def do_GET(self) -> None:
        self._send(self._answer(posted=False))

    def do_POST(self) -> None:
        self._send(self._answer(posted=True))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what is no request that is served: without a word of it in the answer."""
        self._send(_refused(code, "not served"))

    def _answer(self, posted: bool) -> Reply:
        host, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        if len(host) != 1 or host[0] not in self.server.hosts or origin not in (None, f"http://{host[0]}"):
            return _refused(403, "this page is for the browser of this computer")
        token, slash, rest = self.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode("latin-1", "replace"), self.server.token.encode())
        route = self.server.routes.get(rest) if known and slash else None
        if route is None:
            return _refused(404, "no such page; open the address that radrl has printed")
        if posted != bool(route.most_bytes):
            return _refused(405, "asked in another way than it is served")
        if not posted:
            return self._call(route, b"")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            return _refused(411, "its length is not said")
        if len(length) > 15 or int(length) > route.most_bytes:
            return _refused(
                413, f"more than {route.most_bytes // 1_000_000} MB" if route.most_bytes > 1e6 else "too long"
            )
        body = self.rfile.read(int(length))
        return self._call(route, body) if len(body) == int(length) else _refused(400, "it was cut off")

    def _call(self, route: Route, body: bytes) -> Reply:
        try:
            return route.answer(body, self.headers.get("Content-Type", ""))
        except UserError as error:
            return _refused(400, one_line(error))
        except Exception as error:  # a server goes on; what the error says may hold a part of a film or question
            if out_of_memory(error):
                return _refused(503, "memory did not suffice for it")
            print(f"radrl: a request failed ({type(error).__name__})", file=sys.stderr)
            return _refused(500, f"it failed ({type(error).__name__}); radrl ask in the terminal says more")

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        self.send_response(reply.status)
        headers = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body)), **HEADERS}
        for name, value in {**headers, "Content-Security-Policy": reply.policy, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)


def _refused(status: int, said: str) -> Reply:
    return json_reply({"error": said}, status)
