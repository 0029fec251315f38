"""Turns settings into the feeds to record: each with its plans, its key and its connect options."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from recorder.capture.catalogue import VenueListing, expand, is_pattern, names_of
from recorder.capture.http import Reach
from recorder.errors import ConfigError, CredentialsError
from recorder.feed import Catalogue, Feed, Options, Plan
from recorder.feeds import feed as feed_of
from recorder.settings.config import FeedSettings, Settings
from recorder.settings.keys import key_variable
from recorder.shard import Shard, parse, share

#: Names of headers and parameters that carry a key.
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|signature|ticket", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FeedSource:
    """One configured feed, ready to be recorded."""

    name: str
    feed: Feed
    settings: FeedSettings
    plans: tuple[Plan, ...]
    listing: VenueListing | None = None  # the venue's instruments, as far as they are known
    unmatched: tuple[str, ...] = ()  # channels with a `*` that matches no instrument (yet)
    shard: Shard | None = None  # this host's share, where many record
    line_of: Mapping[str, int] = field(default_factory=dict)  # with a shard: by the plan's group

    @property
    def places(self) -> list[tuple[Plan, int]]:
        """Every connection to keep: its plan and the number of its line (0 is A)."""
        if self.shard is None:
            lines = self.settings.lines
            return [(plan, n) for plan in self.plans for n in range(1 if plan.every else lines)]
        return [(plan, self.line_of[plan.group]) for plan in self.plans]

    @property
    def elsewhere(self) -> bool:
        """True if no channel of the feed is in this host's share: other hosts record it."""
        return self.shard is not None and not self.plans and not self.unmatched

    @property
    def asks(self) -> bool:
        """True if the venue's list of instruments has to be fetched.

        An endpoint that is not the venue's own has other symbols: there, `rest_url` must be set.
        """
        return self.feed.catalogue is not None and self.has_rest

    @property
    def has_rest(self) -> bool:
        """True if the venue's REST interface belongs to its endpoints, or the user set one."""
        return _has_rest(self.feed, self.settings)

    @property
    def catalogue(self) -> Catalogue:
        """Where the instruments of the feed's market are listed."""
        catalogue = self.feed.catalogue
        assert catalogue is not None
        if catalogue.choose is None:
            return catalogue
        channels = self.settings.channels or self.feed.default_channels
        return replace(catalogue, asks=tuple(catalogue.choose(self.settings.urls, channels)))

    @property
    def reach(self) -> Reach:
        """The way to the venue's REST interface."""
        settings = self.settings
        return Reach(settings.rest_url, settings.ca_file, settings.proxy)


def _has_rest(feed: Feed, settings: FeedSettings) -> bool:
    if settings.rest_url is not None:
        return True
    own = {urlsplit(url).hostname or "" for url in feed.endpoints} | set(feed.hosts)
    named = (urlsplit(url).hostname or "" for url in settings.urls)
    return all(any(fnmatchcase(host, pattern) for pattern in own) for host in named)


def sources(
    settings: Settings,
    keys: Mapping[str, str | None],
    listings: Mapping[str, VenueListing] | None = None,
) -> list[FeedSource]:
    """Return each configured feed with its plans, or a host's share of them; open nothing.

    `listings` are the known instruments of the venues, by the feed's name: a `*` in a channel
    stands for them. A channel whose `*` matches none is left out.

    Raises:
        ConfigError: no feed is configured, or a feed's settings are wrong.
        CredentialsError: a feed needs a key and has none.
    """
    if not settings.feeds:
        raise ConfigError(
            "no feed is configured",
            hint="add one to recorder.toml, for example [feeds.binance], or try: recorder demo",
        )
    known = listings or {}
    shard = parse(settings.capture.shard) if settings.capture.shard else None
    found = [
        _source(name, chosen, keys.get(name), known.get(name))
        for name, chosen in settings.feeds.items()
    ]
    return found if shard is None else [_shared(source, keys, shard) for source in found]


def _source(
    name: str, chosen: FeedSettings, key: str | None, listing: VenueListing | None
) -> FeedSource:
    feed = feed_of(chosen.kind or name, where=f"feeds.{name}")
    if feed.key_help is not None and not key:
        variable = key_variable(name)
        raise CredentialsError(
            f"this feed needs {feed.key_help}",
            where=f"feeds.{name}",
            hint=f"set {variable}, or {variable}_FILE to a file of mode 0600 that holds it",
        )
    if feed.fitted is not None:
        feed = replace(feed, **feed.fitted(_options(name, chosen, key)))
    channels, unmatched = _channels(feed, chosen, listing)
    plans = _plans(name, feed, chosen, key, channels) if channels or not unmatched else ()
    return FeedSource(name, feed, chosen, plans, listing, tuple(unmatched))


def _shared(source: FeedSource, keys: Mapping[str, str | None], shard: Shard) -> FeedSource:
    """Return one host's share of a feed; `_source` has already checked all its plans."""
    name, feed, chosen = source.name, source.feed, source.settings
    plans: list[Plan] = []
    line_of: dict[str, int] = {}
    for part, line in _slices(name, chosen, shard).items():
        if not source.plans or (channels := _sliced(source, shard, part)) is None:
            continue
        for plan in _plans(name, feed, chosen, keys.get(name), channels):
            plans.append(replace(plan, group=shard.group(plan.group, part)))
            line_of[plans[-1].group] = line
    return replace(source, plans=tuple(plans), shard=shard, line_of=line_of)


def _slices(name: str, chosen: FeedSettings, shard: Shard) -> dict[int, int]:
    try:
        return shard.slices(chosen.lines)
    except ValueError as error:
        raise ConfigError(
            str(error),
            where=f"feeds.{name}.lines",
            hint="both lines on one host: leave --shard (capture.shard) out; or record on more",
        ) from None


def _sliced(source: FeedSource, shard: Shard, part: int) -> Sequence[str] | None:
    """Return the channels of a feed that belong to a slice; None if none does.

    A feed without channels to divide is in one slice, as a whole.
    """
    feed, chosen = source.feed, source.settings
    channels, _ = _channels(feed, chosen, source.listing)
    divided = () if feed.whole else channels or feed.default_channels
    mine = share(source.name, divided or ("",), shard.of, part)
    if not mine:
        return None
    return mine if divided else channels


def _plans(
    name: str, feed: Feed, chosen: FeedSettings, key: str | None, channels: Sequence[str]
) -> tuple[Plan, ...]:
    """Return a feed's plans: one per group of channels, for all its lines."""
    options = _options(name, chosen, key, channels)
    # The feed shapes each endpoint of the user's in turn; without any, its own.
    shaped = [feed.plan(replace(options, url=url)) for url in chosen.urls or (None,)]
    made = tuple(_plan(feed, chosen, key, same) for same in zip(*shaped, strict=True))
    for plan in made:
        if plan.every is not None and not plan.own and not _has_rest(feed, chosen):
            raise ConfigError(
                f"{plan.channels[0]} is polled, and the endpoint is not the venue's own",
                where=f"feeds.{name}",
                hint="set rest_url to where it is polled, or leave the channel out",
            )
    return made


def _options(
    name: str, chosen: FeedSettings, key: str | None, channels: Sequence[str] = ()
) -> Options:
    return Options(
        name=name,
        channels=tuple(channels),
        key=key,
        headers=chosen.headers,
        subscribe=tuple(chosen.subscribe),
        ping=chosen.ping,
        ping_every=chosen.ping_every,
        reply=chosen.reply,
        decode=chosen.decode,
        poll=tuple(chosen.poll),
        every=chosen.every,
    )


def _channels(
    feed: Feed, chosen: FeedSettings, listing: VenueListing | None
) -> tuple[list[str], list[str]]:
    """Return the channels to subscribe to, and the patterns that match nothing (yet)."""
    wanted = chosen.channels or (
        list(feed.default_channels) if any(map(is_pattern, feed.default_channels)) else []
    )
    if feed.catalogue is None or not any(map(is_pattern, wanted)):
        return wanted, []
    names = names_of(listing) if listing else []
    takes = feed.catalogue.takes
    if takes is None:
        return expand(wanted, names)
    parts = [expand([one], [name for name in names if takes(one, name)]) for one in wanted]
    found = dict.fromkeys(channel for channels, _ in parts for channel in channels)
    return list(found), [pattern for _, unmatched in parts for pattern in unmatched]


def _plan(feed: Feed, chosen: FeedSettings, key: str | None, shaped: Sequence[Plan]) -> Plan:
    """Return one connection's plan over all endpoints, with the user's settings."""
    if shaped[0].every is not None:  # its URLs do not depend on the endpoints
        return shaped[0]
    urls = (_with_query(url, chosen.query, key) for plan in shaped for url in plan.urls)
    silence = chosen.silence_seconds or shaped[0].silence
    keyed = feed.key_help is not None or _shows_key(chosen, key)
    return replace(shaped[0], urls=tuple(urls), silence=silence, keyed=keyed)


def _shows_key(chosen: FeedSettings, key: str | None) -> bool:
    """Return True if the user's own URL, headers or messages show a key."""
    places = (*chosen.urls, *chosen.headers.values(), *chosen.query.values(), *chosen.subscribe)
    named = (*chosen.headers, *chosen.query)
    return (key is not None and any("{key}" in text for text in places)) or any(
        map(_SECRET_NAME.search, named)
    )


def _with_query(url: str, query: Mapping[str, str], key: str | None) -> str:
    url = url.replace("{key}", quote(key or "", safe=""))
    if not query:
        return url
    values = {name: value.replace("{key}", key or "") for name, value in query.items()}
    return url + ("&" if urlsplit(url).query else "?") + urlencode(values, safe=",")


def missing(source: FeedSource) -> Mapping[str, object]:
    """Return log fields: the channels whose `*` matches nothing, and why; empty if none."""
    if not source.unmatched:
        return {}
    why = "no list yet" if source.listing is None else "no instrument of that name"
    return {"channels": ", ".join(source.unmatched), "why": why}


def connect_options(source: FeedSource, max_frame_mb: float) -> dict[str, Any]:
    """Return the options for `websockets.connect`.

    Raises:
        ConfigError: the `ca_file` cannot be used, or the proxy needs a package that is missing.
    """
    settings = source.settings
    _check_proxy(source)
    options: dict[str, Any] = {
        "compression": "deflate" if settings.compression else None,
        "max_size": int(max_frame_mb * (1 << 20)),
        "open_timeout": 10,
        "close_timeout": 5,
    }
    if settings.proxy is not None:
        options["proxy"] = settings.proxy
    if any(url.startswith("wss:") for plan in source.plans for url in plan.urls):
        cafile = None if settings.ca_file is None else str(settings.ca_file)
        try:
            options["ssl"] = ssl.create_default_context(cafile=cafile)
        except OSError as error:
            where = f"feeds.{source.name}.ca_file"
            raise ConfigError(f"cannot be used: {error}", where=where) from None
    return options


def _check_proxy(source: FeedSource) -> None:
    """Raise ConfigError if a SOCKS proxy is set and the packages that speak SOCKS are missing."""
    settings = source.settings
    socks = [proxy for proxy in _proxies(source) if urlsplit(proxy).scheme.startswith("socks")]
    if socks and not all(map(find_spec, ("python_socks", "socks"))):
        raise ConfigError(
            "a SOCKS proxy needs the packages python-socks and PySocks",
            where=f"feeds.{source.name}.proxy" if settings.proxy else "the system's proxy",
            hint="pip install 'feed-recorder[socks]'",
        )


def _proxies(source: FeedSource) -> set[str]:
    """Return the proxies of a feed's connections: the user's, else the system's."""
    if source.settings.proxy is not None:
        return {source.settings.proxy}
    urls = {url for plan in source.plans if plan.every is None for url in plan.urls}
    return {proxy for url in urls if (proxy := get_proxy(parse_uri(url))) is not None}
