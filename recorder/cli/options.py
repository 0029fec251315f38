"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
    """A time such as `2026-01-31T12:00Z`, `2h ago` or an epoch; UTC where no zone is given."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The time in ns since epoch."""
        from datetime import UTC, datetime, timedelta

        from recorder.answers.canned import moment

        if isinstance(value, int):
            return value
        try:
            time = datetime.fromisoformat(moment(value, datetime.now(UTC)))
        except ValueError:
            self.fail(f"'{value}' is no time; e.g. 2026-01-31, 2026-01-31T12:00Z, '2h ago'")
        zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
        return (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


class Span(click.ParamType[int]):
    """A length of time such as `90d`, `36h` or `4w`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The length in ns."""
        import re

        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", value.strip())
        if not found:
            self.fail(f"'{value}' is no length of time; e.g. 90d, 36h, 4w")
        seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[found[2]]
        return int(float(found[1]) * seconds * 1_000_000_000)


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
