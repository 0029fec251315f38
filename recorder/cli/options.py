"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from recorder.times import Duration

F = TypeVar("F", bound=Callable[..., Any])


def data_dir(command: F) -> F:
    """`--data-dir`: where the record and the database are."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the record and the database are.  [env RECORDER_DATA_DIR; default: data]",
    )(command)


def raw_url(command: F) -> F:
    """`--raw-url`: the bucket that sealed files are in."""
    return click.option(
        "--raw-url",
        metavar="URL",
        help="A bucket that holds sealed files, too: s3://BUCKET/PREFIX.  [env RECORDER_RAW_URL]",
    )(command)


def config(command: F) -> F:
    """`--config`: which settings file."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Settings file.  [default: recorder.toml, if there is one]",
    )(command)


def tables_url(command: F) -> F:
    """`--tables-url`: the lake that holds the tables."""
    return click.option(
        "--tables-url",
        metavar="URL",
        help="A lake, s3://BUCKET/PREFIX or a path, instead of recorder.duckdb.  "
        "[env RECORDER_TABLES_URL]",
    )(command)


def shard(command: F) -> F:
    """`--shard`: this host's share of the channels."""
    return click.option(
        "--shard",
        type=Part(),
        help="Record a share of all channels, e.g. 3/8 on the third of eight hosts.",
    )(command)


def logging(command: F) -> F:
    """`--log-format` and `--log-level`."""
    command = click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
    )(command)
    return click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="Least serious message shown.",
    )(command)


class Moment(click.ParamType[int]):
    """A moment in the grammar of `recorder.times`: `2026-01-31T12:00Z`, `2h ago`, an epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment in ns since epoch."""
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


class Part(click.ParamType[str]):
    """A host's share, such as `3/8`."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, checked."""
        from recorder.shard import parse

        try:
            return str(parse(value))
        except ValueError as error:
            self.fail(str(error))


def feed_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes the kinds of feeds."""
    from recorder.feeds import kinds

    del ctx, param
    return [kind for kind in kinds() if kind.startswith(incomplete)]
