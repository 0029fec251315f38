"""Access checks before every route: token, Host, Origin, size, number of requests at once.

A page of another site can make a browser send requests to this server, and with DNS rebinding even
read the answers. So requests are refused unless their Host is one of the server's names or an
address: an address cannot be rebound.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recorder.serve.wrong_tokens import WrongTokens, client_of

COOKIE = "recorder_session"
SESSION_SECONDS = 30 * 86_400

#: Paths that need no token: the health check, and the login form with its files.
_OPEN = {"/healthz", "/login"}
_OPEN_ASSETS = {"/page/style.css", "/page/theme.js", "/page/favicon.svg", "/page/login.js"}

MOST_BODY = 64 << 10
MOST_REQUESTS = 64
MOST_SOCKETS = 64
#: The most requests at once of clients that have shown no token: they send the form for it.
_MOST_STRANGERS = 16
_HEALTH = "/healthz"

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Access:
    """The token (None: no token is needed) and the names under which the server is reached."""

    token: str | None = None
    names: frozenset[str] = frozenset({"localhost"})

    def knows(self, host: str) -> bool:
        """Return True if a Host header is one of the server's names or an address."""
        name = _name(host)
        return name is not None and (name in self.names or _is_address(name))

    def same(self, origin: str, host: str) -> bool:
        """Return True if an Origin header names the same host as the Host header."""
        parts = urlsplit(origin)
        return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()

    def accepts(self, given: str) -> bool:
        """Return True for the right token; takes the same time for any token."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def session(self, until: int) -> str:
        """Return a cookie's value that is valid until an epoch time in s; it hides the token."""
        return f"{until}.{self._sign(until)}"

    def admits(self, cookie: str, now: float) -> bool:
        """Return True for a cookie's value of `session` that has not expired."""
        until, _, sign = cookie.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) <= 12):
            return False
        right = hmac.compare_digest(sign.encode(), self._sign(int(until)).encode())
        return right and int(until) > now

    def _sign(self, until: int) -> str:
        assert self.token is not None
        return hmac.new(
            self.token.encode(), f"session {until}".encode(), hashlib.sha256
        ).hexdigest()


def _name(host: str) -> str | None:
    """Return the name or address in a Host header, without the port; None if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    bare = not (parts.path or parts.query or parts.fragment or "@" in host)
    return parts.hostname if bare else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """The ASGI middleware that checks every request and refuses with 4xx or 503."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        wrong: WrongTokens,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._access, self._wrong, self._clock = app, access, wrong, clock
        self._requests = self._strangers = self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or WebSocket on to the application, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, refused)
        else:
            await self._request(scope, receive, _with_headers(send), refused)

    # -- what is refused

    def _refusal(self, scope: Scope) -> Response | None:
        headers = _headers(scope)
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._access.knows(hosts[0]):
            what = "this Host is not one of this server's"
            return refuse(421, what, "add it with --allow-host, or use the address")
        for origin in headers.get("origin", []):
            if not self._access.same(origin, hosts[0]):
                return refuse(403, "a request from another site", "open the page itself")
        if _foreign(headers, scope):
            return refuse(403, "a request from another site", "open the page itself")
        if self._access.token is not None and not self._allowed(scope, headers):
            return self._locked(scope, headers)
        if any(
            not size.isdecimal() or int(size) > MOST_BODY
            for size in headers.get("content-length", [])
        ):
            return refuse(413, f"the body is larger than {MOST_BODY >> 10} KB", "send less")
        return None

    def _allowed(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        path = scope["path"]
        if path in _OPEN or path in _OPEN_ASSETS:
            return True
        if any(self._access.admits(c, self._clock()) for c in _cookies(headers)):
            return True
        client = client_in(scope)
        for given in _bearers(headers):
            if self._wrong.exhausted(client):
                return False
            if self._access.accepts(given):
                self._wrong.right(client)
                return True
            self._wrong.add(client)
        return False

    def _locked(self, scope: Scope, headers: dict[str, list[str]]) -> Response:
        wants_page = "text/html" in ",".join(headers.get("accept", []))
        if scope["type"] == "http" and scope["method"] == "GET" and wants_page:
            return RedirectResponse("/login", 303)
        if any(_bearers(headers)) and self._wrong.exhausted(client_in(scope)):
            return refuse(429, "too many wrong tokens", "try again in a minute")
        hint = "log in at /login, or send 'Authorization: Bearer TOKEN'"
        return refuse(401, "the token is missing or wrong", hint)

    # -- what is passed on

    async def _request(
        self, scope: Scope, receive: Receive, send: Send, refused: Response | None
    ) -> None:
        strange = self._access.token is not None and scope["path"] in _OPEN
        full = self._strangers >= _MOST_STRANGERS if strange else self._requests >= MOST_REQUESTS
        if refused is None and full and scope["path"] != _HEALTH:
            refused = refuse(503, "too many requests at once", "try again in a moment")
        if refused is not None:
            await refused(scope, receive, send)
            return
        self._count(1, strange=strange)
        try:
            await self._app(scope, _bounded(receive), send)
        finally:
            self._count(-1, strange=strange)

    def _count(self, change: int, *, strange: bool) -> None:
        if strange:
            self._strangers += change
        else:
            self._requests += change

    async def _socket(
        self, scope: Scope, receive: Receive, send: Send, refused: Response | None
    ) -> None:
        if refused is None and self._sockets >= MOST_SOCKETS:
            refused = refuse(503, f"{MOST_SOCKETS} clients are connected already", "close one")
        if refused is not None:
            await _deny(scope, receive, send, refused)
            return
        self._sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets -= 1


def client_in(scope: Scope) -> str:
    """Return who sent a request, for the count of wrong tokens."""
    client = scope.get("client")
    return client_of(client[0]) if client else ""


def refuse(status: int, what: str, hint: str, where: str = "") -> JSONResponse:
    """Return an error as a response: {error, where, next}."""
    return JSONResponse({"error": what, "where": where, "next": hint}, status)


def names_of(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the names under which a server that listens on `host` may be reached."""
    return frozenset({"localhost", host.lower(), *(name.lower() for name in more)})


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def _bearers(headers: dict[str, list[str]]) -> list[str]:
    """Return the bearer tokens in a request's headers."""
    parts = (value.partition(" ") for value in headers.get("authorization", []))
    return [given.strip() for scheme, _, given in parts if scheme.lower() == "bearer"]


def _foreign(headers: dict[str, list[str]], scope: Scope) -> bool:
    """Return True if a browser marks the request as another site's; links to pages are allowed."""
    if not set(headers.get("sec-fetch-site", [])) & {"cross-site", "same-site"}:
        return False
    follows = headers.get("sec-fetch-mode") == ["navigate"] and scope.get("method") == "GET"
    return not (follows and not scope["path"].startswith("/api/"))


def _cookies(headers: dict[str, list[str]]) -> Collection[str]:
    try:
        jar = SimpleCookie("; ".join(headers.get("cookie", [])))
    except CookieError:
        return []
    return [jar[COOKIE].value] if COOKIE in jar else []


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in there]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    """Return a `receive` that disconnects when the body exceeds `MOST_BODY`."""
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= MOST_BODY else {"type": "http.disconnect"}

    return receiving


async def _deny(scope: Scope, receive: Receive, send: Send, refused: Response) -> None:
    """Refuse a WebSocket's handshake, with an HTTP status if the server supports that."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await receive()
    body = bytes(refused.body)
    start: Any = {"type": "websocket.http.response.start", "status": refused.status_code}
    await send({**start, "headers": refused.raw_headers})
    await send({"type": "websocket.http.response.body", "body": body})
