"""What `query` and `sql` share: where to ask, how to show the answer."""

from __future__ import annotations

import functools
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recorder.answers.output import FORMATS, write
from recorder.cli import options
from recorder.errors import UsageError, install_hint
from recorder.record.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

    from recorder.lake.source import TableSource

F = TypeVar("F", bound=Callable[..., Any])

#: The value of `--plot` without a file.
_HERE = "-"
_PICTURES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class How:
    """Where the record is, and how the answer is to be shown."""

    format: str | None = None
    plot: str | None = None
    config: Path | None = None
    given_data_dir: Path | None = None
    given_tables_url: str | None = None
    given_raw_url: str | None = None

    def source(self) -> TableSource:
        """What is asked: the options, else the environment, else the settings file, else `data`.

        A lake that the environment or the file names gives way to `--data-dir`.
        """
        from recorder.lake.source import TableSource
        from recorder.settings.config import load

        given, lake = self.given_data_dir, self.given_tables_url
        if given is not None and lake is not None:
            hint = "ask recorder.duckdb or the lake, one of the two"
            raise UsageError("is given beside --data-dir", where="--tables-url", hint=hint)
        settings = load(self.config, data_dir=given, tables_url=lake, raw_url=self.given_raw_url)
        named = None if given is not None else settings.tables_url
        return TableSource(Layout(settings.data_dir), named, settings.raw_url)

    def check(self) -> None:
        """Refuse a drawing that could not be made before anything is asked."""
        if self.plot is None:
            return
        if self.plot != _HERE and Path(self.plot).suffix.lower() not in _PICTURES:
            hint = "name it FILE.png or FILE.svg; to draw in the terminal put --plot last"
            what = f"cannot write a plot to '{self.plot}': unknown format"
            raise UsageError(what, where="--plot", hint=hint)
        try:
            if self.plot == _HERE:
                import plotext  # noqa: F401
            else:
                import matplotlib as _  # noqa: F401
        except ImportError as error:
            hint = f"install what it needs: {install_hint('plot')}"
            raise UsageError(f"{error.name} is not installed", where="--plot", hint=hint) from None


def asking(command: F) -> F:
    """How to answer, and whence (`--tables-url`, `--data-dir`, …), as one argument `how`."""

    @functools.wraps(command)
    def gathered(
        *arguments: Any,
        format_: str | None,
        plot: str | None,
        config_path: Path | None,
        data_dir: Path | None,
        tables_url: str | None,
        raw_url: str | None,
        **others: Any,
    ) -> Any:
        how = How(format_, plot, config_path, data_dir, tables_url, raw_url)
        return command(*arguments, how=how, **others)

    found: Any = gathered
    for add in reversed(_OPTIONS):
        found = add(found)
    return found  # type: ignore[no-any-return]


_OPTIONS = (
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        help="How to write the rows.  [default: table on a terminal, else csv]",
    ),
    click.option("--json", "format_", flag_value="json", help="The same as --format json."),
    click.option(
        "--plot",
        is_flag=False,
        flag_value=_HERE,
        metavar="[FILE]",
        help="Draw the answer: in the terminal, or into FILE.png or FILE.svg.",
        shell_complete=lambda ctx, param, typed: [
            click.shell_completion.CompletionItem(typed, type="file")
        ],
    ),
    options.config,
    options.data_dir,
    options.tables_url,
    options.raw_url,
)


def show(
    table: pa.Table, how: How, *, title: str, note: str, plot: str = "", subtitle: str = ""
) -> None:
    """Draw or write the answer, then say on stderr what it was."""
    as_drawing = how.plot is not None
    if as_drawing:
        _draw(table, how, title, plot, subtitle)
    if how.format or not as_drawing:
        _write(table, how.format)
    rows = "1 row" if table.num_rows == 1 else f"{table.num_rows:,} rows"
    drawn = f"; drawn in {how.plot}" if how.plot not in {None, _HERE} else ""
    click.echo(f"{title}: {rows}{note}{drawn}", err=True)


def _write(table: pa.Table, format: str | None) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # files are UTF-8 whatever the locale
        terminal = sys.stdout.isatty()
        sys.stdout.reconfigure(
            encoding=None if terminal else "utf-8", errors="backslashreplace" if terminal else None
        )
    try:
        write(table, format, sys.stdout)
    except BrokenPipeError:  # the reader, e.g. `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _draw(table: pa.Table, how: How, title: str, plot: str, subtitle: str) -> None:
    from recorder.plot import picture, terminal
    from recorder.plot.chart import chart
    from recorder.plot.spec import checked, guess, parse

    spec = checked(parse(plot, title), table, title) if plot else guess(table)
    drawing = chart(table, spec, title, subtitle)
    if how.plot != _HERE:
        picture.save(drawing, Path(str(how.plot)))
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    size = shutil.get_terminal_size((80, 28))
    terminal.draw(drawing, sys.stdout, colour=colour, width=size.columns, height=size.lines - 8)
