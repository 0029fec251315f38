"""Options that several commands share; a group of them is one argument of the command.

@options.directory      --config, --data-dir                        where: RecordOptions
@options.record         the same and --raw-url                      where: RecordOptions
@options.tables         the same and --tables-url                   where: RecordOptions
@options.logging        --log-level, --log-format                   logs: LogOptions
@options.page(PORT)     --host, --port, --token-file, --allow-host  page: PageOptions
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from recorder.cli.types import HostShare, Moment

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

    from recorder.lake.source import TableSource
    from recorder.record.layout import Layout
    from recorder.redact import Redactor
    from recorder.reporter import Reporter
    from recorder.settings.config import Settings

F = TypeVar("F", bound=Callable[..., Any])
_Decorator = Callable[[F], F]


# -- where the record is


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """Where the record is, from the command line; None: the settings decide."""

    config: Path | None = None
    data_dir: Path | None = None
    raw_url: str | None = None
    tables_url: str | None = None

    @property
    def file(self) -> Path:
        """The path of the settings file, which may not exist."""
        return self.config or Path("recorder.toml")

    def settings(self, **flags: Any) -> Settings:
        """Return the settings; `flags` are further options that take precedence over the file.

        Raises:
            ConfigError: the file cannot be read, or a value is wrong.
        """
        from recorder.settings.config import load

        given = {"data_dir": self.data_dir, "raw_url": self.raw_url, "tables_url": self.tables_url}
        return load(self.config, **given, **flags)

    def settings_to_write(self, **flags: Any) -> Settings:
        """Read the settings of a command that writes; others cannot read what it creates.

        Raises:
            ConfigError: as `settings` says.
        """
        from recorder import durable

        settings = self.settings(**flags)
        durable.keep_private(group_may_read=settings.group_may_read)
        return settings

    def layout(
        self,
        settings: Settings | None = None,
        *,
        fetch_again: bool = False,
        reporter: Reporter | None = None,
    ) -> Layout:
        """Return the data directory, with the bucket of `settings` (None: read them), if any.

        `fetch_again` ignores cached files of the bucket. `reporter` is warned when the bucket
        becomes unavailable.

        Raises:
            ConfigError: the settings are wrong.
            StoreError, CredentialsError: the bucket cannot be read.
        """
        from recorder.bucket.remote import layout_of
        from recorder.reporter import QUIET

        known = self.settings() if settings is None else settings
        return layout_of(
            known.data_dir,
            known.raw_url,
            cache_gb=known.bucket.cache_gb,
            refetch=fetch_again,
            reporter=reporter or QUIET,
        )

    def source(self) -> TableSource:
        """Return the tables that the options, the environment or the file name, in this order.

        `--data-dir` overrides a lake that the environment or the file names.

        Raises:
            UsageError: the options name both.
            ConfigError: the settings are wrong.
        """
        from recorder.errors import UsageError
        from recorder.lake.source import TableSource
        from recorder.record.layout import Layout

        if self.data_dir is not None and self.tables_url is not None:
            hint = "choose recorder.duckdb (--data-dir) or the lake (--tables-url)"
            raise UsageError("excludes --data-dir", where="--tables-url", hint=hint)
        settings = self.settings()
        lake = None if self.data_dir is not None else settings.tables_url
        return TableSource(Layout(settings.data_dir), lake, settings.raw_url)

    def words(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another process."""
        return words(**asdict(self))


def check_recorded(layout: Layout) -> None:
    """Check that something was recorded in the data directory.

    Raises:
        UsageError: no feed was recorded.
    """
    from recorder.errors import UsageError

    if not layout.feeds():
        hint = "record something first: recorder capture, or recorder demo"
        raise UsageError("nothing is recorded here", where=str(layout.root), hint=hint)


# -- logging and the page


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The options of logging."""

    log_format: str = "text"
    log_level: str = "info"

    @property
    def json(self) -> bool:
        """True if log lines are JSON."""
        return self.log_format == "json"

    def begin(self, redactor: Redactor | None = None, stream: TextIO | None = None) -> BoundLogger:
        """Configure logging to stderr, or `stream`, with secrets redacted; return the logger."""
        from recorder import log
        from recorder.redact import Redactor

        log.configure(redactor or Redactor(), level=self.log_level, json=self.json, stream=stream)
        return log.logger()

    def words(self) -> tuple[str, ...]:
        """Return the options as arguments of another process."""
        return words(**asdict(self))


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The address of the status page, and who may open it."""

    host: str | None
    port: int | None
    token_file: Path | None = None
    allow_host: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another process."""
        return words(**asdict(self))


def words(**options: object) -> tuple[str, ...]:
    """Return options as arguments; skip None, and repeat the option for each value of a tuple."""
    arguments: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                arguments += [f"--{name.replace('_', '-')}", str(one)]
    return tuple(arguments)


# -- the options


config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file.  [default: recorder.toml, if there is one]",
)
data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the record and the database.  [env RECORDER_DATA_DIR; default: data]",
)
raw_url = click.option(
    "--raw-url",
    metavar="URL",
    help="Bucket that also holds sealed files: s3://BUCKET/PREFIX.  [env RECORDER_RAW_URL]",
)
tables_url = click.option(
    "--tables-url",
    metavar="URL",
    help="Use this lake, s3://BUCKET/PREFIX or a path, instead of recorder.duckdb.  "
    "[env RECORDER_TABLES_URL]",
)
shard = click.option(
    "--shard",
    type=HostShare(),
    help="Record this share of all channels, e.g. 3/8 on the third of eight hosts.",
)
_log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of log lines.",
)
_log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Lowest level of the messages shown.",
)


def gathered(name: str, kind: type[Any], **options: Callable[[Any], Any]) -> _Decorator[Any]:
    """Return a decorator that adds options and passes their values as one argument `name`.

    `kind` is the dataclass of that argument; its fields have the options' names.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(*arguments: Any, **given: Any) -> Any:
            value = kind(**{option: given.pop(option) for option in options})
            return command(*arguments, **{name: value}, **given)

        for add in reversed(options.values()):
            called = add(called)
        return called

    return decorate


_here = {"config": config, "data_dir": data_dir}
directory = gathered("where", RecordOptions, **_here)
record = gathered("where", RecordOptions, **_here, raw_url=raw_url)
tables = gathered("where", RecordOptions, **_here, tables_url=tables_url, raw_url=raw_url)
logging = gathered("logs", LogOptions, log_level=_log_level, log_format=_log_format)


def _address(port: int | None) -> dict[str, Callable[[Any], Any]]:
    """Return `--host` and `--port`; `port` None: without defaults, and passed on to `serve`."""
    own = port is not None
    return {
        "host": click.option(
            "--host",
            default="127.0.0.1" if own else None,
            show_default=own,
            help=_help("Address to listen on.", own=own),
        ),
        "port": click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            default=port,
            show_default=own,
            help=_help("Port to listen on; 0 picks a free one.", own=own),
        ),
    }


def address(port: int) -> Callable[[F], F]:
    """Return a decorator that adds `--host` and `--port`, as two arguments."""
    host, number = _address(port).values()
    return lambda command: host(number(command))


def page(port: int | None) -> _Decorator[Any]:
    """Return a decorator that adds the options of the status page as one argument `page`.

    `port` None: without defaults, and passed on to `serve`.
    """
    own = port is not None
    require = "Require the token in this file.  [env RECORDER_SERVE_TOKEN holds the token itself]"
    name = "Further host name of the page, e.g. a proxy's (repeatable)."
    return gathered(
        "page",
        PageOptions,
        **_address(port),
        token_file=click.option(
            "--token-file",
            type=click.Path(dir_okay=False, path_type=Path),
            help=_help(require, own=own),
        ),
        allow_host=click.option(
            "--allow-host", multiple=True, metavar="NAME", help=_help(name, own=own)
        ),
    )


def _help(text: str, *, own: bool) -> str:
    """Return an option's help; mark it "For serve" if the command (`own` False) passes it on."""
    return text if own else f"For serve: {text[0].lower()}{text[1:]}"


def feed_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of feeds that begin with what was typed, for completion."""
    from recorder.feeds import kinds

    del ctx, param
    return [kind for kind in kinds() if kind.startswith(incomplete)]


# -- a stretch of time


class _Renamed(click.Option):
    """An option that also answers to its former name, which the help leaves out."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        every, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = every


def since(meaning: str, *, former: str | None = None) -> _Decorator[F]:
    """Add `--since`, a moment in ns; `former` is another name of it."""
    return _moment("--since", former, f"{meaning} at or after this time: ISO 8601, '2h ago'.")


def until(meaning: str, *, former: str | None = None) -> _Decorator[F]:
    """Add `--until`, a moment in ns; `former` is another name of it."""
    return _moment("--until", former, f"{meaning} before this time.")


def _moment(name: str, former: str | None, meaning: str) -> _Decorator[F]:
    names = [name, *filter(None, [former]), name.removeprefix("--")]
    return click.option(*names, cls=_Renamed, type=Moment(), help=meaning)
