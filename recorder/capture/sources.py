"""From settings to what is to be recorded: each feed with its plans, keys and ways to connect."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from recorder.capture.catalogue import Listing, Reach, expand, is_pattern, names_of
from recorder.config import FeedSettings, Settings
from recorder.errors import ConfigError, CredentialsError
from recorder.feed import Feed, Options, Plan
from recorder.feeds import feed as feed_of
from recorder.keys import key_variable


@dataclass(frozen=True, slots=True)
class Source:
    """One configured feed, ready to be recorded."""

    name: str
    feed: Feed
    settings: FeedSettings
    plans: tuple[Plan, ...]
    listing: Listing | None = None  # the venue's instruments, as far as they are known
    unmatched: tuple[str, ...] = ()  # channels with a `*` that stands for nothing (yet)

    @property
    def asks(self) -> bool:
        """True if the venue's list of instruments is to be asked for.

        An endpoint that is not the venue's own has other symbols: there, `rest_url` must be set.
        """
        if self.feed.catalogue is None or self.settings.rest_url is not None:
            return self.feed.catalogue is not None
        own = {urlsplit(url).hostname for url in self.feed.endpoints}
        return {urlsplit(url).hostname for url in self.settings.urls} <= own

    @property
    def reach(self) -> Reach:
        """How to ask the venue for its instruments."""
        settings = self.settings
        return Reach(settings.rest_url, settings.ca_file, settings.proxy)


def sources(
    settings: Settings,
    keys: Mapping[str, str | None],
    listings: Mapping[str, Listing] | None = None,
) -> list[Source]:
    """Every configured feed with its plans; nothing is opened.

    `listings` are the venues' instruments, by the feed's name, where they are known: a `*` in a
    channel stands for them. A channel whose `*` stands for nothing is left out.

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
    return [
        _source(name, chosen, keys.get(name), known.get(name))
        for name, chosen in settings.feeds.items()
    ]


def _source(name: str, chosen: FeedSettings, key: str | None, listing: Listing | None) -> Source:
    feed = feed_of(chosen.kind or name, where=f"feeds.{name}")
    if feed.key_help is not None and not key:
        variable = key_variable(name)
        raise CredentialsError(
            f"this feed needs {feed.key_help}",
            where=f"feeds.{name}",
            hint=f"set {variable}, or {variable}_FILE to a file of mode 0600 that holds it",
        )
    channels, unmatched = _channels(feed, chosen, listing)
    options = Options(
        name=name,
        channels=tuple(channels),
        key=key,
        headers=chosen.headers,
        subscribe=tuple(chosen.subscribe),
    )
    plans: tuple[Plan, ...] = ()
    if channels or not unmatched:
        # The feed shapes each endpoint of the user's in turn; without any, its own.
        shaped = [feed.plan(replace(options, url=url)) for url in chosen.urls or (None,)]
        plans = tuple(_plan(chosen, key, same) for same in zip(*shaped, strict=True))
    return Source(name, feed, chosen, plans, listing, tuple(unmatched))


def _channels(
    feed: Feed, chosen: FeedSettings, listing: Listing | None
) -> tuple[list[str], list[str]]:
    """What to subscribe to, and the patterns that stand for nothing (yet)."""
    wanted = chosen.channels or (
        list(feed.default_channels) if any(map(is_pattern, feed.default_channels)) else []
    )
    if feed.catalogue is None or not any(map(is_pattern, wanted)):
        return wanted, []
    return expand(wanted, names_of(listing) if listing else [])


def _plan(chosen: FeedSettings, key: str | None, shaped: Sequence[Plan]) -> Plan:
    """One connection's plan over all endpoints, with what the user set."""
    urls = (_with_query(url, chosen.query, key) for plan in shaped for url in plan.urls)
    silence = chosen.silence_seconds or shaped[0].silence
    return replace(shaped[0], urls=tuple(urls), silence=silence)


def _with_query(url: str, query: Mapping[str, str], key: str | None) -> str:
    url = url.replace("{key}", quote(key or "", safe=""))
    if not query:
        return url
    values = {name: value.replace("{key}", key or "") for name, value in query.items()}
    return url + ("&" if urlsplit(url).query else "?") + urlencode(values, safe=",")


def missing(source: Source) -> Mapping[str, object]:
    """For the log: the channels whose `*` stands for nothing, if any; and why."""
    if not source.unmatched:
        return {}
    why = "no list yet" if source.listing is None else "no instrument of that name"
    return {"channels": ", ".join(source.unmatched), "why": why}


def connect_options(source: Source, max_frame_mb: float) -> dict[str, Any]:
    """How to connect, for `websockets.connect`; raises ConfigError on a bad `ca_file`."""
    settings = source.settings
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
