"""Any other WebSocket: raw frames, never interpreted."""

from __future__ import annotations

from recorder.errors import ConfigError
from recorder.feed import Feed, Options, Plan, unused


def plan(options: Options) -> list[Plan]:
    """Return one connection to the user's URL, with the user's headers and messages.

    `{key}` in a header or a message stands for the feed's key.
    """
    if options.url is None:
        raise ConfigError(
            "a generic feed needs a url",
            where=f"feeds.{options.name}.url",
            hint='for example: url = "wss://example.org/ws"',
        )
    unused(options, "channels", hint="subscribe = ['…'] holds the messages to send")
    key = options.key or ""
    return [
        Plan(
            group="all",
            urls=(options.url,),
            headers={name: value.replace("{key}", key) for name, value in options.headers.items()},
            hello=tuple(text.replace("{key}", key) for text in options.subscribe),
        )
    ]


FEED = Feed(
    kind="generic",
    title="Any WebSocket, raw frames only",
    endpoints=(),
    plan=plan,
)
