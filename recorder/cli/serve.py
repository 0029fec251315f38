"""`recorder serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.serve.server import Bind

_VARIABLE = "RECORDER_SERVE_TOKEN"
#: The token's name in `$CREDENTIALS_DIRECTORY`.
_CREDENTIAL = "serve_token"
_NICE = 5
_SHORTEST_TOKEN = 16


@click.command(
    epilog="\b\nExamples:\n  recorder serve\n"
    "  recorder serve --host 0.0.0.0 --token-file /etc/recorder/token"
)
@options.directory
@options.page(8787)
@click.option(
    "--share",
    type=click.FloatRange(0.05, 1.0),
    default=0.17,
    show_default=True,
    help="Share of a core spent on reading new frames: more is fresher.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in the browser.")
@options.logging
def serve(
    where: options.RecordOptions,
    page: options.PageOptions,
    share: float,
    browse: bool,
    logs: options.LogOptions,
) -> None:
    """Serve a live status page for the browser; print its URL.

    Reads only the journals and recorder.duckdb; capture is not affected. Only this machine can
    connect, unless --host names another address, which needs a token.
    """
    from recorder.errors import DataError
    from recorder.priority import behind_capture
    from recorder.serve import server, start

    settings = where.settings()
    assert page.host is not None and page.port is not None  # both have defaults
    bind = server.Bind(page.host, page.port)
    token = _token(bind, page.token_file)
    logs.begin()
    if not settings.data_dir.is_dir():
        hint = (
            "record something first: recorder capture, or recorder demo; or name another --data-dir"
        )
        raise DataError("no data directory", where=str(settings.data_dir), hint=hint)
    listener = server.listen(bind)
    url = f"http://{bind.shown}:{listener.getsockname()[1]}/"

    def started() -> None:
        click.echo(url)
        if browse:
            click.launch(url)

    app = start.app(settings, start.ServeOptions(bind.host, token, page.allow_host, share))
    behind_capture(_NICE)
    server.run(app, listener, started)


def _token(bind: Bind, file: Path | None) -> str | None:
    """Return the token; None if none is set and only this machine can connect.

    Raises:
        UsageError: a token is missing, too short or unreadable.
    """
    from recorder.errors import UsageError

    token, where = os.environ.get(_VARIABLE), _VARIABLE
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / _CREDENTIAL
    if file is not None:
        token, where = _read(file, private=file.absolute() != given.absolute()), str(file)
    elif not token and "CREDENTIALS_DIRECTORY" in os.environ and given.is_file():
        token, where = _read(given, private=False), str(given)
    if token:
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            what = f"not a token: expected at least {_SHORTEST_TOKEN} printable ASCII characters"
            raise UsageError(what, where=where, hint="make one: openssl rand -hex 24 > token")
        return token
    if not bind.loopback:
        hint = "openssl rand -hex 24 > token; chmod 600 token; recorder serve --token-file token …"
        raise UsageError(
            "other machines can reach this address: a token is needed",
            where=f"--host {bind.host}",
            hint=hint,
        )
    return None


def _read(file: Path, *, private: bool) -> str:
    """Return a token file's text; `private` requires that only its owner can read it.

    Raises:
        UsageError: the file is unreadable, empty or readable by others.
    """
    from recorder.errors import UsageError

    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file)) from None
    if private and mode & 0o077:
        raise UsageError("others can read this file", where=str(file), hint=f"chmod 600 {file}")
    if not text:
        raise UsageError("is empty", where=str(file), hint="openssl rand -hex 24 > token")
    return text
