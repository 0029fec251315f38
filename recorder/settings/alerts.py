"""The settings of alerts: rules, and the destinations that they name."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    SecretStr,
    field_validator,
    model_validator,
)

from recorder.clock import NS
from recorder.errors import UsageError
from recorder.settings.fields import STRICT, is_url, means
from recorder.times import DURATIONS, parse_fixed

#: The form of a name, which becomes part of the names of a variable and a credential.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


#: Seconds that a problem must last before an alert is sent, unless a rule says otherwise.
LASTING = 30.0

Severity = Literal["info", "warning", "critical"]


def seconds(value: object) -> float:
    """Read a duration, `"90s"` or `"1h30m"`, or a number of seconds; return seconds.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"not a duration; {DURATIONS}")
    try:
        return parse_fixed(value) / NS
    except UsageError as error:
        raise ValueError(f"{error.what}; {error.hint}") from None


def rate(value: object) -> tuple[int, float]:
    """Read a rate, `"10/min"`, `"3/10m"` or `"100/day"`; return the count and the seconds.

    Raises:
        ValueError: it is not a rate, or allows nothing.
    """
    text = value if isinstance(value, str) else ""
    found = re.fullmatch(r"([0-9]{1,6})\s*/\s*(.+)", text)
    if found is None or int(found[1]) == 0:
        raise ValueError('not a rate; for example "10/min", "3/10m" or "100/day"')
    length = seconds(found[2] if found[2][0].isdecimal() else f"1{found[2]}")
    if length == 0:
        raise ValueError('not a rate: it allows nothing; for example "10/min"')
    return int(found[1]), length


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(seconds)]
Rate = Annotated[tuple[int, float], BeforeValidator(rate)]


class RuleSettings(BaseModel):
    """One rule: a condition on new rows of a table, or on the recorder's health."""

    model_config = STRICT

    table: Annotated[str | None, means("rows of this table are looked at")] = None
    when: Annotated[str | None, means("a condition in SQL over its columns; unset: every row")] = (
        None
    )
    backfill: Annotated[
        bool, means("past events that a service sends again are looked at, too")
    ] = False
    health: Annotated[
        list[str],
        BeforeValidator(_listed),
        means(
            "instead of a table: problems of the recorder itself, by group or condition (see "
            "[alerts.md](alerts.md)), or `all`"
        ),
    ] = []
    lasting: Annotated[Seconds, means("health: how long a problem must last before it is sent")] = (
        LASTING
    )
    cooldown: Annotated[
        Seconds, means("health: the same problem is not sent again within this time")
    ] = 600.0
    resolved: Annotated[bool, means("health: the end of a problem is sent, too")] = True
    severity: Annotated[
        Severity | None, means("unset: info for rows; for health that of the problem")
    ] = None
    title: Annotated[str | None, means("one line; `{column}` stands for a value")] = None
    text: Annotated[str | None, means("more lines, the same way")] = None
    at_most: Annotated[Rate, means("more than that are held back, and counted in one message")] = (
        10,
        60.0,
    )
    to: Annotated[
        list[str], BeforeValidator(_listed), means("names of destinations; none: the log alone")
    ] = []

    @model_validator(mode="after")
    def _one_kind(self) -> RuleSettings:
        if (self.table is not None) == bool(self.health):
            raise ValueError('expected either table = "…" or health = "…", not both')
        if self.table is None and self.when is not None:
            raise ValueError("when is a condition on rows: it needs table")
        return self


class DestinationSettings(BaseModel):
    """Where alerts go: exactly one of `webhook`, `command` and `telegram`."""

    model_config = STRICT

    webhook: Annotated[
        str | None,
        means("a URL that gets the alert as JSON by POST; may hold `{token}`", repr=False),
    ] = None
    headers: Annotated[
        dict[str, str], means("webhook: HTTP headers; a value may hold `{token}`", repr=False)
    ] = {}
    ca_file: Annotated[
        Path | None, means("certificates (PEM) to trust instead of the system's")
    ] = None
    command: Annotated[
        list[str] | None,
        means(
            "a program and its arguments, run without a shell; the alert is on its stdin",
            repr=False,
        ),
    ] = None
    telegram: Annotated[str | None, means("id or @name of a chat that a bot writes to")] = None
    base_url: Annotated[str, means("telegram: where the bot API is")] = "https://api.telegram.org"
    token: Annotated[SecretStr | None, means("the token; better kept in a variable or a file")] = (
        None
    )
    token_file: Annotated[Path | None, means("a file of mode 0600 that holds the token")] = None
    timeout: Annotated[Seconds, means("how long one attempt may take", gt=0, le=600)] = 10.0
    retry_for: Annotated[Seconds, means("for how long a failed attempt is tried again")] = 600.0

    @field_validator("command")
    @classmethod
    def _runnable(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (not value or not value[0] or any("\0" in v for v in value)):
            raise ValueError("not a program and its arguments")
        return value

    @field_validator("webhook", "base_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None:
            _check_url(value)
        return value

    @field_validator("headers")
    @classmethod
    def _printable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not text.isprintable():
                raise ValueError("not a header's name and value")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> DestinationSettings:
        kinds = (self.webhook, self.command, self.telegram)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError('expected exactly one of webhook = "…", command = […], telegram = "…"')
        return self

    @property
    def needs_token(self) -> bool:
        """True if the destination cannot work without a token."""
        return self.telegram is not None or any(
            "{token}" in text for text in (self.webhook or "", *self.headers.values())
        )

    @property
    def secret_in_the_open(self) -> bool:
        """True if a secret would travel unencrypted to another machine."""
        url = urlsplit(self.base_url if self.telegram is not None else self.webhook or "")
        return url.scheme == "http" and not _loopback(url.hostname or "")


def _check_url(url: str) -> None:
    if not is_url(url, {"http", "https"}):
        raise ValueError("not an HTTP URL; one looks like https://host/path")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("a URL has no user and password here: use headers with {token}")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(value: dict[str, Any]) -> dict[str, Any]:
    """Return the table unchanged if each name has the form of a name.

    Raises:
        ValueError: a name has not.
    """
    for name in value:
        if not NAME.fullmatch(name):
            raise ValueError(f"'{name}' is not a name: letters, digits, '-' and '_'")
    return value
