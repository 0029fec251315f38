"""Any other WebSocket, and any URLs to poll: raw frames, never interpreted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recorder.errors import ConfigError
from recorder.feed import Feed, Notice, Options, Plan, unused


def plan(options: Options) -> list[Plan]:
    """Return one connection to the user's URL, and the user's URLs to poll.

    `{key}` in a header, a message or a polled URL stands for the feed's key.
    """
    unused(options, "channels", hint="subscribe = ['…'] holds the messages to send")
    if options.url is None and not options.poll:
        raise ConfigError(
            "a generic feed needs a url",
            where=f"feeds.{options.name}.url",
            hint='for example: url = "wss://example.org/ws", or poll = ["https://example.org/x"]',
        )
    key = options.key or ""
    headers = {name: value.replace("{key}", key) for name, value in options.headers.items()}
    plans = [] if options.url is None else [_connection(options, options.url, headers)]
    if options.poll:
        urls = tuple(url.replace("{key}", key) for url in options.poll)
        every = options.every or 60.0
        plans.append(Plan(group="polled", urls=urls, headers=headers, every=every, own=True))
    return plans


def _connection(options: Options, url: str, headers: Mapping[str, str]) -> Plan:
    key = options.key or ""
    return Plan(
        group="all",
        urls=(url,),
        headers=headers,
        hello=tuple(text.replace("{key}", key) for text in options.subscribe),
        ping=options.ping,
        ping_every=options.ping_every or 30.0,
    )


def fitted(options: Options) -> dict[str, Any]:
    """Return what the settings change in the feed: its coding, its answers to messages.

    Raises:
        ConfigError: a pattern is not a regular expression, or its answer names no group of it.
    """
    rules = [_rule(options, pattern, reply) for pattern, reply in options.reply.items()]
    if not rules:
        return {"coding": options.decode}

    def notice(payload: bytes) -> Notice | None:
        for pattern, reply in rules:
            if found := pattern.search(payload):
                return Notice(reply=found.expand(reply).decode("utf-8", "replace"))
        return None

    try:
        control = re.compile(b"|".join(b"(?:%s)" % _plain(pattern) for pattern, _ in rules))
    except re.error as error:  # two of them name a group alike, for example
        where = f"feeds.{options.name}.reply"
        raise ConfigError(f"the patterns do not go together: {error}", where=where) from None
    return {"coding": options.decode, "control": control, "answer": control, "notice": notice}


def _rule(options: Options, pattern: str, reply: str) -> tuple[re.Pattern[bytes], bytes]:
    try:
        made = re.compile(pattern.encode())
        expanded = re.compile(b"(?:%s)|" % pattern.encode()).search(b"")
        assert expanded is not None
        expanded.expand(reply.encode())
    except (re.error, IndexError) as error:
        where = f"feeds.{options.name}.reply"
        raise ConfigError(f"'{pattern}' = '{reply}': {error}", where=where) from None
    return made, reply.encode()


def _plain(pattern: re.Pattern[bytes]) -> bytes:
    """Return a pattern that can be an alternative of several, without back-references."""
    return pattern.pattern if not pattern.groups else re.sub(rb"\\[1-9]", rb".*", pattern.pattern)


FEED = Feed(
    kind="generic",
    title="Any WebSocket, and any URLs to poll: raw frames only",
    endpoints=(),
    plan=plan,
    fitted=fitted,
)
