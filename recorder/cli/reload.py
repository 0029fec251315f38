"""The settings of `recorder capture`, read at start and again at each SIGHUP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from recorder.capture.capture import Capture
from recorder.capture.catalogue import VenueListing
from recorder.capture.sources import FeedSource, sources
from recorder.capture.symbols import Symbols, known
from recorder.cli.options import RecordOptions
from recorder.errors import ConfigError, RecorderError, did_you_mean
from recorder.record.layout import Layout
from recorder.redact import SHORTEST
from recorder.settings.config import Settings
from recorder.settings.keys import key_of, secrets_of

#: Settings of `[capture]` that a reload applies: they decide which channels are recorded.
_APPLIED = {"shard"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The feeds to record, and the secrets to redact."""

    settings: Settings
    sources: list[FeedSource]
    keys: Mapping[str, str | None] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def with_list(self, name: str, listing: VenueListing) -> FeedSource | None:
        """Return the feed's source with the venue's newest list; None if the feed is not chosen."""
        if name not in self.settings.feeds:
            return None
        alone = self.settings.model_copy(update={"feeds": {name: self.settings.feeds[name]}})
        return sources(alone, self.keys, {name: listing})[0]

    def warn(self, log: Any) -> None:
        """Log a warning for each key in the settings file, and each that is too short for a key."""
        for name, key in self.keys.items():
            if key is not None and len(key) < SHORTEST:
                log.warning(
                    "the key is too short for a key",
                    feed=name,
                    next="in logs and files it is hidden only where it is a word by itself",
                )
        for name, feed in self.settings.feeds.items():
            if feed.key is not None:
                log.warning(
                    "the settings file contains a key",
                    feed=name,
                    better="the environment, or a key_file of mode 0600",
                )


@dataclass(frozen=True, slots=True)
class Selection:
    """The options of the command line that choose settings and feeds."""

    where: RecordOptions
    only: tuple[str, ...]
    shard: str | None = None

    def read(self, *, may_be_none: bool = False) -> Chosen:
        """Read the settings and keys; return the feeds to record.

        `may_be_none` accepts settings without a feed.

        Raises:
            ConfigError, CredentialsError: the settings or a key are wrong.
        """
        share = {} if self.shard is None else {"capture": {"shard": self.shard}}
        settings = _only(self.where.settings_to_write(**share), self.only)
        keys = {name: key_of(name, feed, os.environ) for name, feed in settings.feeds.items()}
        secrets = tuple(_secrets(settings, keys))
        if may_be_none and not settings.feeds and self.where.file.is_file():
            return Chosen(settings, [], keys, secrets)
        lists = known(Layout(settings.data_dir), settings.feeds)
        return Chosen(settings, sources(settings, keys, lists), keys, secrets)


def _only(settings: Settings, names: tuple[str, ...]) -> Settings:
    for name in names:
        if name not in settings.feeds:
            hint = did_you_mean(name, settings.feeds) if settings.feeds else "no feed is configured"
            raise ConfigError(f"no feed '{name}' in the configuration", hint=hint)
    if not names:
        return settings
    chosen = {name: settings.feeds[name] for name in names}
    return settings.model_copy(update={"feeds": chosen})


def _secrets(settings: Settings, keys: dict[str, str | None]) -> Iterator[str]:
    """Yield all secrets to redact: keys, header values, a proxy's password."""
    for name, feed in settings.feeds.items():
        yield from secrets_of(keys[name])
        yield from (value for value in feed.headers.values() if len(value) >= SHORTEST)
        yield (urlsplit(feed.proxy).password or "") if feed.proxy else ""


class Reload:
    """Applies changed settings and venues' lists of instruments to a running capture."""

    def __init__(self, selection: Selection, chosen: Chosen, run: Capture) -> None:
        self._selection, self._chosen, self._run = selection, chosen, run
        layout = Layout(chosen.settings.data_dir)
        self._symbols = Symbols(layout, run.clock, run.log, self._on_listing)
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def begin(self) -> None:
        """Start following the venues' lists of instruments."""
        self._symbols.follow(self._chosen.sources)

    def end(self) -> None:
        """Stop following the venues' lists of instruments."""
        self._symbols.stop()

    def request(self) -> None:
        """Reload soon; if a reload is running, reload once more after it."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._reload()
            except RecorderError as error:
                self._log_failure(error.what, error.where, error.hint)
            except Exception as error:  # a third-party feed's code may raise anything
                self._log_failure(repr(error), "", "")

    def _on_listing(self, name: str, listing: VenueListing) -> None:
        try:
            source = self._chosen.with_list(name, listing)
            if source is not None:
                self._run.update(source)
        except Exception as error:  # a feed's code may fail on what a venue lists
            self._run.log.error("the list of instruments was ignored", feed=name, why=str(error))

    def _log_failure(self, why: str, where: str, hint: str) -> None:
        self._run.log.error(
            "the settings were not reloaded; nothing changed",
            why=why,
            where=where,
            next=hint or "correct it and send SIGHUP again",
        )

    async def _reload(self) -> None:
        # In a thread: a slow disk must not delay frames.
        chosen = await asyncio.to_thread(self._selection.read, may_be_none=True)
        self._check(chosen.settings)
        self._run.redactor.learn(chosen.secrets)
        chosen.warn(self._run.log)
        await self._run.apply(chosen.sources)
        self._chosen = chosen
        self._symbols.follow(chosen.sources)
        self._run.log.info("the settings were reloaded", feeds=len(chosen.sources))
        if not chosen.sources:
            self._run.log.warning("no feed is configured any more: waiting for a reload")

    def _check(self, settings: Settings) -> None:
        """Log which changed settings need a restart.

        Raises:
            ConfigError: the data directory changed.
        """
        running = self._run.settings
        if settings.data_dir != running.data_dir:
            raise ConfigError(
                "a running capture cannot change its data directory",
                where="data_dir",
                hint="restart it, or set data_dir back and send SIGHUP again",
            )
        changed = [
            name
            for name in type(running.capture).model_fields
            if name not in _APPLIED
            and getattr(settings.capture, name) != getattr(running.capture, name)
        ]
        if changed:
            self._run.log.warning("these settings need a restart", capture=", ".join(changed))
        if (settings.raw_url, settings.bucket) != (running.raw_url, running.bucket):
            self._run.log.warning("these settings need a restart", names="raw_url, bucket")
