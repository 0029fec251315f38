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

from recorder.cli.types import Part

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
    """Where the record is, as far as the command line says it; None: as the settings say."""

    config: Path | None = None
    data_dir: Path | None = None
    raw_url: str | None = None
    tables_url: str | None = None

    @property
    def file(self) -> Path:
        """The settings file that is read, if there is one."""
        return self.config or Path("recorder.toml")

    def settings(self, **flags: Any) -> Settings:
        """Read the settings; `flags` are more options that come before the file.

        Raises:
            ConfigError: the file cannot be read, or a value is wrong.
        """
        from recorder.settings.config import load

        given = {"data_dir": self.data_dir, "raw_url": self.raw_url, "tables_url": self.tables_url}
        return load(self.config, **given, **flags)

    def layout(
        self,
        settings: Settings | None = None,
        *,
        fetch_again: bool = False,
        reporter: Reporter | None = None,
    ) -> Layout:
        """Return the data directory, with the bucket of `settings` (None: read them), if any.

        With `fetch_again` files that were fetched before are not trusted. `reporter`
        (None: nobody) is warned when the bucket becomes unavailable.

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
        """Return the tables: the options, else the environment, else the file, else `data`.

        A lake that the environment or the file names gives way to `--data-dir`.

        Raises:
            UsageError: the options name both.
            ConfigError: the settings are wrong.
        """
        from recorder.errors import UsageError
        from recorder.lake.source import TableSource
        from recorder.record.layout import Layout

        if self.data_dir is not None and self.tables_url is not None:
            hint = "ask recorder.duckdb or the lake, one of the two"
            raise UsageError("is given beside --data-dir", where="--tables-url", hint=hint)
        settings = self.settings()
        lake = None if self.data_dir is not None else settings.tables_url
        return TableSource(Layout(settings.data_dir), lake, settings.raw_url)

    def words(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another process."""
        return words(**asdict(self))


def check_recorded(layout: Layout) -> None:
    """Refuse a data directory in which nothing was recorded.

    Raises:
        UsageError: there is no feed.
    """
    from recorder.errors import UsageError

    if not layout.feeds():
        hint = "record something first: recorder capture, or recorder demo"
        raise UsageError("nothing is recorded here", where=str(layout.root), hint=hint)


# -- logging and the page


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a process logs."""

    log_format: str = "text"
    log_level: str = "info"

    @property
    def json(self) -> bool:
        """True for JSON lines."""
        return self.log_format == "json"

    def begin(self, redactor: Redactor | None = None, stream: TextIO | None = None) -> BoundLogger:
        """Send log lines to stderr, or `stream`, without secrets; return the logger."""
        from recorder import log
        from recorder.redact import Redactor

        log.configure(redactor or Redactor(), level=self.log_level, json=self.json, stream=stream)
        return log.logger()

    def words(self) -> tuple[str, ...]:
        """Return the options as arguments of another process."""
        return words(**asdict(self))


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Where the page is served, and who may open it."""

    host: str | None
    port: int | None
    token_file: Path | None = None
    allow_host: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another process."""
        return words(**asdict(self))


def words(**options: object) -> tuple[str, ...]:
    """Return options as arguments: None is left out, a tuple is an option for each value."""
    found: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                found += [f"--{name.replace('_', '-')}", str(one)]
    return tuple(found)


# -- the options


config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file.  [default: recorder.toml, if there is one]",
)
data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the record and the database are.  [env RECORDER_DATA_DIR; default: data]",
)
raw_url = click.option(
    "--raw-url",
    metavar="URL",
    help="A bucket that holds sealed files, too: s3://BUCKET/PREFIX.  [env RECORDER_RAW_URL]",
)
tables_url = click.option(
    "--tables-url",
    metavar="URL",
    help="A lake, s3://BUCKET/PREFIX or a path, instead of recorder.duckdb.  "
    "[env RECORDER_TABLES_URL]",
)
shard = click.option(
    "--shard",
    type=Part(),
    help="Record a share of all channels, e.g. 3/8 on the third of eight hosts.",
)
_log_format = click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least serious message shown.",
)


def gathered(name: str, kind: type[Any], **options: Callable[[Any], Any]) -> _Decorator[Any]:
    """Return a decorator that adds options and passes their values as one argument `name`.

    `kind` is the dataclass of that argument: it takes each value by the option's name.
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
    """`--host` and `--port`; with `port` None both may be left out, and are `serve`'s."""
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
            help=_help("Port to listen on; 0 takes a free one.", own=own),
        ),
    }


def address(port: int) -> Callable[[F], F]:
    """Return `--host` and `--port`, each an argument of its own name."""
    host, number = _address(port).values()
    return lambda command: host(number(command))


def page(port: int | None) -> _Decorator[Any]:
    """Return `--host`, `--port`, `--token-file`, `--allow-host`; with `port` None for `serve`."""
    own = port is not None
    asks = "Ask for the token in this file.  [env RECORDER_SERVE_TOKEN holds the token itself]"
    name = "A further name under which the page is opened, e.g. a proxy's (repeatable)."
    return gathered(
        "page",
        PageOptions,
        **_address(port),
        token_file=click.option(
            "--token-file",
            type=click.Path(dir_okay=False, path_type=Path),
            help=_help(asks, own=own),
        ),
        allow_host=click.option(
            "--allow-host", multiple=True, metavar="NAME", help=_help(name, own=own)
        ),
    )


def _help(text: str, *, own: bool) -> str:
    """The help of an option, said to be `serve`'s where another command passes it on."""
    return text if own else f"For serve: {text[0].lower()}{text[1:]}"


def feed_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the kinds of feeds."""
    from recorder.feeds import kinds

    del ctx, param
    return [kind for kind in kinds() if kind.startswith(incomplete)]
