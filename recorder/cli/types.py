"""Types of option values: times, durations, shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from recorder.times import Duration


class Moment(click.ParamType[int]):
    """A moment in the grammar of `recorder.times`: `2026-01-31T12:00Z`, `2h ago`, an epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment in ns since the epoch."""
        import time

        from recorder.errors import UsageError
        from recorder.times import parse_moment

        if isinstance(value, int):
            return value
        try:
            return parse_moment(value, time.time_ns())
        except UsageError as error:
            self.fail(f"{error.what}; {error.hint}")


class Length(click.ParamType["Duration"]):
    """A duration in the grammar of `recorder.times`: `90d`, `36h`, `3mo`, `15 minutes`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Duration:
        """Return the duration."""
        from recorder.errors import UsageError
        from recorder.times import Duration, parse_duration

        if isinstance(value, Duration):
            return value
        try:
            return parse_duration(value)
        except UsageError as error:
            self.fail(f"{error.what}; {error.hint}")


class Seconds(click.ParamType[float]):
    """A length of time in seconds: a number, or a duration such as `10m`.

    `least` is the smallest one; with `above` it must be longer.
    """

    name = "duration"

    def __init__(self, least: float = 0.0, *, above: bool = False, most: float = math.inf) -> None:
        self._least, self._above, self._most = least, above, most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds.

        Raises:
            click.BadParameter: it is not a length of time, or out of range.
        """
        seconds = value if isinstance(value, (int, float)) else self._read(value)
        beyond = not self._least <= seconds <= self._most or not math.isfinite(seconds)
        if beyond or (self._above and seconds == self._least):
            self.fail(f"'{value}' is out of range: {self._range()}")
        return float(seconds)

    def _read(self, text: str) -> float:
        from recorder.errors import UsageError
        from recorder.times import parse_fixed

        try:
            return float(text)
        except ValueError:
            pass
        try:
            return parse_fixed(text) / 1e9
        except UsageError as error:
            self.fail(f"{error.what}; {error.hint}")

    def _range(self) -> str:
        least = f"{'more than' if self._above else 'at least'} {self._least:g} s"
        return least if math.isinf(self._most) else f"{least}, at most {self._most:g} s"


class HostShare(click.ParamType[str]):
    """A host's share of the channels, such as `3/8`."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the share as text.

        Raises:
            click.BadParameter: it is not a share.
        """
        from recorder.shard import parse

        try:
            return str(parse(value))
        except ValueError as error:
            self.fail(str(error))
