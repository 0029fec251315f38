"""Who may ask: the token, the Host and Origin of a request, its size, how many at once.

A page on another site can make a browser send requests here, and by DNS rebinding even read the
answers, unless the Host is one of ours: a name that is not known is refused, whatever it resolves
to. A number (an address) cannot be rebound.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "recorder_session"
SESSION_SECONDS = 30 * 86_400

#: What anyone may have: that the process turns, and the form that asks for the token.
_OPEN = {"/healthz", "/login"}
_OPEN_ASSETS = {"/page/style.css", "/page/theme.js", "/page/favicon.svg", "/page/login.js"}

MOST_BODY = 64 << 10
MOST_REQUESTS = 64
MOST_SOCKETS = 64
#: So many wrong tokens a minute.
_TRIES, _MINUTE = 10, 60.0

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
class Door:
    """What is let in: `token` None is no lock, `names` are the Hosts besides addresses."""

    token: str | None = None
    names: frozenset[str] = frozenset({"localhost"})

    def knows(self, host: str) -> bool:
        """True if a Host header names this server."""
        name = _name(host)
        return name is not None and (name in self.names or _is_address(name))

    def same(self, origin: str, host: str) -> bool:
        """True if an Origin header is this very server's."""
        parts = urlsplit(origin)
        return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()

    def opens(self, given: str) -> bool:
        """True for the right token; the time it takes tells nothing."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def session(self, until: int) -> str:
        """A cookie's value that opens until then (epoch s): the token itself is never in it."""
        return f"{until}.{self._sign(until)}"

    def admits(self, cookie: str, now: float) -> bool:
        """True for a cookie of ours that has not expired."""
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
    """The name or address of a Host header, without its port; None where it is none."""
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
    """Stands before every route; refuses with 4xx or 503 and says why."""

    def __init__(self, app: ASGIApp, door: Door, clock: Callable[[], float] = time.time) -> None:
        self._app, self._door, self._clock = app, door, clock
        self._requests = self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or socket, let in or refused."""
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
        if len(hosts) != 1 or not self._door.knows(hosts[0]):
            what = "this Host is not one of this server's"
            return refuse(421, what, "name it with --allow-host, or use the address")
        for origin in headers.get("origin", []):
            if not self._door.same(origin, hosts[0]):
                return refuse(403, "a request from another site", "open the page itself")
        if _foreign(headers, scope):
            return refuse(403, "a request from another site", "open the page itself")
        if self._door.token is not None and not self._allowed(scope, headers):
            return self._locked(scope, headers)
        if any(
            not size.isdecimal() or int(size) > MOST_BODY
            for size in headers.get("content-length", [])
        ):
            return refuse(413, f"a body larger than {MOST_BODY >> 10} KB", "send less")
        return None

    def _allowed(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        path = scope["path"]
        if path in _OPEN or path in _OPEN_ASSETS:
            return True
        for value in headers.get("authorization", []):
            scheme, _, given = value.partition(" ")
            if scheme.lower() == "bearer" and self._door.opens(given.strip()):
                return True
        return any(self._door.admits(c, self._clock()) for c in _cookies(headers))

    def _locked(self, scope: Scope, headers: dict[str, list[str]]) -> Response:
        wants_page = "text/html" in ",".join(headers.get("accept", []))
        if scope["type"] == "http" and scope["method"] == "GET" and wants_page:
            return RedirectResponse("/login", 303)
        hint = "log in at /login, or send 'Authorization: Bearer TOKEN'"
        return refuse(401, "the token is missing or wrong", hint)

    # -- what is let in

    async def _request(
        self, scope: Scope, receive: Receive, send: Send, refused: Response | None
    ) -> None:
        if refused is None and self._requests >= MOST_REQUESTS:
            refused = refuse(503, "too many requests at once", "try again in a moment")
        if refused is not None:
            await refused(scope, receive, send)
            return
        self._requests += 1
        try:
            await self._app(scope, _bounded(receive), send)
        finally:
            self._requests -= 1

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


class Tries:
    """Counts wrong tokens: nobody guesses faster than a few a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=_TRIES)

    @property
    def exhausted(self) -> bool:
        """True while no more tokens are looked at."""
        return len(self._wrong) == _TRIES and self._clock() - self._wrong[0] < _MINUTE

    def failed(self) -> None:
        """One more was wrong."""
        self._wrong.append(self._clock())


def refuse(status: int, what: str, hint: str, where: str = "") -> JSONResponse:
    """An error as every part of the API gives it."""
    return JSONResponse({"error": what, "where": where, "next": hint}, status)


def names_of(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names under which a server that is bound to `host` may be asked."""
    return frozenset({"localhost", host.lower(), *(name.lower() for name in more)})


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _foreign(headers: dict[str, list[str]], scope: Scope) -> bool:
    """True where a browser says that another site asks; following a link to the page is no harm."""
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
    """A body without a length is counted as it comes; one that is too long ends there."""
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= MOST_BODY else {"type": "http.disconnect"}

    return receiving


async def _deny(scope: Scope, receive: Receive, send: Send, refused: Response) -> None:
    """Refuse a WebSocket's handshake with an HTTP status, where the server can."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await receive()
    body = bytes(refused.body)
    start: Any = {"type": "websocket.http.response.start", "status": refused.status_code}
    await send({**start, "headers": refused.raw_headers})
    await send({"type": "websocket.http.response.body", "body": body})
