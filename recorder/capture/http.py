"""The one way to ask a venue's REST interface: requests over HTTP, answers with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from recorder.version import __version__

if TYPE_CHECKING:
    import urllib3

#: The headers of each request.
OWN_HEADERS: Mapping[str, str] = {
    "User-Agent": f"feed-recorder/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
}

#: Bytes of a polled answer's body, at most.
LARGEST = 16 << 20

_PIECE = 64 << 10
_PATIENCE = 60.0  # the longest time (seconds) that an answer may take
_HOPS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_REFUSAL = 2000  # bytes of a refusal's body that are looked at


@dataclass(frozen=True, slots=True)
class Reach:
    """How to get to a venue's REST interface, where the user set something."""

    base: str | None = field(default=None, repr=False)  # scheme and host in place of the venue's
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    def url(self, url: str) -> str:
        """Return the URL of a request, at the user's base if one is set."""
        if self.base is None:
            return url
        base, own = urlsplit(self.base), urlsplit(url)
        path = base.path.rstrip("/") + own.path
        return urlunsplit((base.scheme, base.netloc, path, own.query, ""))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as it came. The names of `headers` are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    answered_ns: int  # wall clock, when the last byte had been read
    broken: str = ""  # why `body` is not the content but the bytes as received; empty: it is


class UnansweredError(Exception):
    """A request brought no answer that can be recorded."""


def pool(reach: Reach, **options: Any) -> urllib3.PoolManager:
    """Return an HTTP client, through a proxy if one is set; it verifies certificates."""
    import urllib3

    options |= {"timeout": urllib3.Timeout(connect=5, read=10)}
    options |= {"ca_certs": None if reach.ca_file is None else str(reach.ca_file)}
    if reach.proxy is None:
        return urllib3.PoolManager(**options)
    if reach.proxy.startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(reach.proxy, **options)
    return urllib3.ProxyManager(reach.proxy, **options)


def ask(
    client: urllib3.PoolManager,
    url: str,
    headers: Mapping[str, str],
    now: Callable[[], int],
) -> HttpAnswer:
    """Ask for a URL once and return the answer, whatever its status. Blocks.

    It follows redirects to the same host. `now` is the wall clock (ns).

    Raises:
        UnansweredError: no answer, one of more than `LARGEST` bytes, or a redirect elsewhere.
    """
    import urllib3

    where, until = url, time.monotonic() + _PATIENCE
    try:
        for _ in range(_HOPS + 1):
            response = client.request(
                "GET", where, headers=dict(headers), preload_content=False, decode_content=False,
                redirect=False, retries=False,
            )  # fmt: skip
            try:
                found = {name.lower(): value for name, value in response.headers.items()}
                target = found.get("location") if response.status in _REDIRECTS else None
                if target is None or not _same_place(where, target):
                    return _read(response, found, now, until)
                where = urljoin(where, target)
            finally:
                response.close()  # an answer that was not read to its end leaves no connection
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        cause = getattr(error, "reason", None)
        named = cause if isinstance(cause, Exception) else error
        raise UnansweredError(f"no answer: {type(named).__name__}") from error
    raise UnansweredError(f"more than {_HOPS} redirects")


def _same_place(url: str, target: str) -> bool:
    """Return True if a redirect leads to the same host, and not from https to http."""
    old, new = urlsplit(url), urlsplit(urljoin(url, target))
    return new.netloc == old.netloc and new.scheme in {old.scheme, "https"}


def _read(
    response: urllib3.BaseHTTPResponse,
    headers: Mapping[str, str],
    now: Callable[[], int],
    until: float,
) -> HttpAnswer:
    whole = response.status == 200
    body = _body(response, LARGEST if whole else _LONGEST_REFUSAL, until, whole=whole)
    at_ns = now()
    if not whole or not headers.get("content-encoding"):
        return HttpAnswer(response.status, headers, body, at_ns)
    try:
        return HttpAnswer(200, headers, _content(headers["content-encoding"], body), at_ns)
    except ValueError as error:
        return HttpAnswer(200, headers, body, at_ns, broken=str(error))


def _body(response: urllib3.BaseHTTPResponse, largest: int, until: float, *, whole: bool) -> bytes:
    """Read a body piece by piece; of a refusal only the beginning."""
    found = bytearray()
    while piece := response.read(_PIECE, decode_content=False):
        found += piece
        if len(found) > largest:
            if not whole:
                break
            raise UnansweredError(f"the answer has more than {largest >> 20} MiB")
        if time.monotonic() > until:
            raise UnansweredError("the answer took too long")
    return bytes(found)


def _content(coding: str, body: bytes) -> bytes:
    """Return what the server had packed for the transfer.

    Raises:
        ValueError: it is broken or grows too large, or the coding was not asked for.
    """
    from recorder.coding import decoded

    if coding.strip().lower() == "identity":
        return body
    if coding.strip().lower() not in {"gzip", "x-gzip"}:
        raise ValueError(f"content coding '{coding[:20]}', which was not asked for")
    if body[:2] != b"\x1f\x8b":
        raise ValueError("invalid gzip: it does not begin like gzip")
    try:
        return decoded("gzip", body, LARGEST)
    except ValueError as error:
        raise ValueError(f"invalid gzip: {error}") from None
