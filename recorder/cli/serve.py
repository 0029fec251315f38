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
@options.config
@options.data_dir
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Ask for the token in this file.  [env {_VARIABLE} holds the token itself]",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A further name under which the page is opened, e.g. a proxy's (repeatable).",
)
@click.option(
    "--share",
    type=click.FloatRange(0.05, 1.0),
    default=0.17,
    show_default=True,
    help="Of a core, for looking at what is new: more is fresher.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in the browser.")
@options.logging
def serve(
    config_path: Path | None,
    data_dir: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    names: tuple[str, ...],
    share: float,
    browse: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Watch the record live in the browser, while it is recorded.

    Reads the journals and recorder.duckdb, and nothing else; capture never knows of it. Only this
    machine can connect, unless --host says otherwise, which needs a token. Prints the page's URL.
    """
    from recorder import log
    from recorder.errors import DataError
    from recorder.priority import behind_capture
    from recorder.redact import Redactor
    from recorder.serve import server, start
    from recorder.settings.config import load

    settings = load(config_path, data_dir=data_dir)
    bind = server.Bind(host, port)
    token = _token(bind, token_file)
    log.configure(Redactor(), level=log_level, json=log_format == "json")
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

    app = start.app(settings, start.ServeOptions(bind.host, token, names, share))
    behind_capture(_NICE)
    server.run(app, listener, started)


def _token(bind: Bind, file: Path | None) -> str | None:
    """The token, or None where only this machine can connect and none was set."""
    from recorder.errors import UsageError

    token, where = os.environ.get(_VARIABLE), _VARIABLE
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / _CREDENTIAL
    if file is not None:
        token, where = _read(file, private=file.absolute() != given.absolute()), str(file)
    elif not token and "CREDENTIALS_DIRECTORY" in os.environ and given.is_file():
        token, where = _read(given, private=False), str(given)
    if token:
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            what = f"a token has at least {_SHORTEST_TOKEN} plain characters"
            raise UsageError(what, where=where, hint="make one: openssl rand -hex 24 > token")
        return token
    if not bind.loopback:
        hint = "openssl rand -hex 24 > token; chmod 600 token; recorder serve --token-file token …"
        raise UsageError(
            "others could connect: a token is needed", where=f"--host {bind.host}", hint=hint
        )
    return None


def _read(file: Path, *, private: bool) -> str:
    """A token file's text. `private`: nobody else may read it; a manager sees to its own."""
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
