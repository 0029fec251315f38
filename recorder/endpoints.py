"""Where the venues are: hosts, routes and lists of instruments, read from `endpoints.toml`. Pure.

A feed's channels may live on several routes (paths) of a host, and a venue's markets on several
hosts. The user may give another host, or a whole URL.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

_FILE = Path(__file__).with_name("endpoints.toml")


@dataclass(frozen=True, slots=True)
class VenueMarket:
    """One market of a venue; `endpoints.toml` says what each field means."""

    routes: Mapping[str, str]
    carries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hosts: Sequence[str] = ()
    paths: Sequence[str] = ()
    old: Sequence[str] = ()
    closed: Sequence[int] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    lists: Sequence[str] = ()
    completing: Sequence[str] = ()
    polls: Mapping[str, str] = field(default_factory=dict)

    def route(self, channel: str) -> str:
        """Return the name of the route that carries a channel."""
        for name, patterns in self.carries.items():
            if any(fnmatchcase(channel, pattern) for pattern in patterns):
                return name
        return next(iter(self.routes))

    def url(self, route: str, given: str | None = None) -> str:
        """Return the URL of a route, at the host that the user gave if there is one.

        A host alone gets the route's path, and so does a URL with the path of any route, or with
        one that the venue retired. Another path is the user's own, and stays.
        """
        own = urlsplit(self.routes[route])
        if given is None:
            return self._asking(own)
        parts = urlsplit(given)
        parts = parts._replace(netloc=self._open_port(parts))
        ours = {urlsplit(url).path for url in self.routes.values()}
        path = parts.path.rstrip("/")
        if not path or path in ours or (path in self.old and self.at(given)):
            parts = parts._replace(path=own.path)
        return self._asking(parts) if self.at(given) else urlunsplit(parts)

    def at(self, url: str) -> bool:
        """Return True if a URL's host is one of this market's."""
        host = urlsplit(url).hostname or ""
        own = urlsplit(next(iter(self.routes.values()))).hostname  # others may be another market's
        return host == own or any(fnmatchcase(host, pattern) for pattern in self.hosts)

    def _open_port(self, parts: SplitResult) -> str:
        closed = self.at(urlunsplit(parts)) and parts.port in self.closed
        return parts.netloc.removesuffix(f":{parts.port}") if closed else parts.netloc

    def _asking(self, parts: SplitResult) -> str:
        missing = {k: v for k, v in self.query.items() if f"{k}=" not in parts.query}
        query = "&".join(filter(None, (parts.query, urlencode(missing))))
        return urlunsplit(parts._replace(query=query))


@cache
def markets(kind: str) -> tuple[VenueMarket, ...]:
    """Return the markets of a built-in feed, the default first.

    Raises:
        LookupError: `endpoints.toml` does not name the feed.
    """
    if kind not in _tables():
        raise LookupError(f"{_FILE.name} has no [[{kind}]]: add the feed's routes to it")
    return tuple(VenueMarket(**fields) for fields in _tables()[kind])


@cache
def _tables() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def market(kind: str, url: str | None = None) -> VenueMarket:
    """Return the market that a URL belongs to, by its host, then by its path; else the default."""
    known = markets(kind)
    if url is None:
        return known[0]
    path = urlsplit(url).path.rstrip("/")
    there = [one for one in known if one.at(url)] or [one for one in known if one.paths]
    for one in there:
        if any(fnmatchcase(path, pattern) for pattern in one.paths):
            return one
    return there[0] if there else known[0]


def endpoints(kind: str) -> tuple[str, ...]:
    """Return the URLs of the default market, one for each route."""
    return tuple(markets(kind)[0].routes.values())


def hosts(kind: str) -> tuple[str, ...]:
    """Return the patterns of all hosts of a feed's markets."""
    own = (urlsplit(url).hostname or "" for one in markets(kind) for url in one.routes.values())
    further = (pattern for one in markets(kind) for pattern in one.hosts)
    return tuple(dict.fromkeys([*own, *further]))
