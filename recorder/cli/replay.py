"""`recorder replay`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import selectors
import signal
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from recorder.cli import options
from recorder.frame import DATA

if TYPE_CHECKING:
    from recorder.player.iterate import Played
    from recorder.player.server import Address
    from recorder.player.stage import Play

_EXAMPLES = """\b
Examples:
  recorder replay --feed smartmoney --since '1h ago' --speed 10
  recorder replay --serve 127.0.0.1:9000 --feed smartmoney --since 2026-01-31 --speed 1"""


@click.command(epilog=_EXAMPLES)
@options.record
@click.option("--feed", "feeds", multiple=True, help="Feed to replay (repeatable).  [default: all]")
@click.option(
    "--channel", "channels", multiple=True, help="Only frames of this channel (repeatable)."
)
@options.since("Only frames received", former="--from")
@options.until("Only frames received", former="--to")
@click.option(
    "--speed",
    default="max",
    show_default=True,
    help="1: as recorded; 10: ten times as fast; max: without waiting.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "raw"]),
    default="jsonl",
    show_default=True,
    help="jsonl: each frame as a JSON object; raw: only the payloads.",
)
@click.option(
    "--serve",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Serve WebSocket clients; give once for all feeds (at /FEED), or once per --feed.",
)
@click.option("--key", envvar="RECORDER_REPLAY_KEY", help="Accept only this key.  [default: any]")
@click.option(
    "--tls",
    "certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve wss:// with this PEM file: certificate and private key.",
)
@click.option(
    "--clients",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Begin when this many clients listen.",
)
@click.option("--drops", is_flag=True, help="Close connections where the recorded ones were lost.")
@click.option("--loop", is_flag=True, help="Restart at the end.")
@click.option("--stay", is_flag=True, help="Keep clients connected after the end.")
@click.option(
    "--too-slow",
    type=click.Choice(["wait", "close"]),
    default="wait",
    show_default=True,
    help="Wait for slow clients, or close them as the service would.",
)
@click.option("--from-now", is_flag=True, help="Alter frames: shift the times in them to now.")
@options.logging
def replay(
    where: options.RecordOptions,
    feeds: tuple[str, ...],
    channels: tuple[str, ...],
    since: int | None,
    until: int | None,
    speed: str,
    form: str,
    addresses: tuple[str, ...],
    key: str | None,
    certificate: Path | None,
    clients: int,
    drops: bool,
    loop: bool,
    stay: bool,
    too_slow: str,
    from_now: bool,
    logs: options.LogOptions,
) -> None:
    """Replay recorded frames to stdout or to WebSocket clients, in order, at any speed.

    With --serve, clients connect as to the original service (key, subscriptions, pings) and
    receive the recorded frames of the channels they subscribe to, byte for byte. /control accepts
    {"do": "pause"}, {"do": "resume"}, {"do": "seek", "to": TIME}, {"do": "speed", "speed": 10}
    and {"do": "status"}.
    """
    from recorder.errors import UsageError
    from recorder.player.iterate import chosen, codings, services, speed_of
    from recorder.player.iterate import replay as replayed
    from recorder.player.stage import Play
    from recorder.redact import Redactor
    from recorder.stream.span import between

    layout, wanted = where.layout(), between(since, until)
    if not addresses:
        _refuse_serve_options(
            key, certificate, clients - 1, drops, loop, stay, too_slow != "wait", from_now
        )
        packed = codings(layout, chosen(layout, feeds))
        _print(iter(replayed(layout, feeds, channels, wanted, speed)), form, packed)
        return
    if channels:
        raise UsageError("--channel cannot be used with --serve: clients subscribe to channels")
    names = chosen(layout, feeds)
    play = Play(
        layout,
        services(layout, names),
        wanted,
        speed=speed_of(speed),
        clients=clients,
        loop=loop,
        stay=stay,
        drops=drops,
        close_slow=too_slow == "close",
        from_now=from_now,
    )
    places = _places(addresses, names, key)
    logs.begin(Redactor([key] if key else []))
    _serve(play, places, ClientAccess(key, _tls(certificate)))


class ClientAccess(NamedTuple):
    """The key that clients must send, and the server's TLS context; None: any key, no TLS."""

    key: str | None
    tls: ssl.SSLContext | None


def _tls(certificate: Path | None) -> ssl.SSLContext | None:
    from recorder.errors import UsageError

    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate)
    except (ssl.SSLError, OSError) as error:
        hint = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert; cat cert key > pem"
        what = f"not a PEM file with certificate and private key: {error}"
        raise UsageError(what, where=str(certificate), hint=hint) from None
    return context


def _refuse_serve_options(*given: object) -> None:
    from recorder.errors import UsageError

    if any(given):
        names = "--key, --tls, --clients, --drops, --loop, --stay, --too-slow and --from-now"
        raise UsageError(f"{names} need --serve", hint="for example: --serve 127.0.0.1:9000")


def _places(addresses: tuple[str, ...], feeds: tuple[str, ...], key: str | None) -> list[Address]:
    """Return the addresses to listen on, each with its feeds.

    Raises:
        UsageError: an address is wrong, there are too many, or a public one lacks a key.
    """
    from recorder.errors import UsageError
    from recorder.player.server import Address, is_loopback

    if len(addresses) not in {1, len(feeds)}:
        what = f"{len(addresses)} addresses for {len(feeds)} feeds"
        raise UsageError(what, hint="give --serve once, or once for each --feed")
    groups = [feeds] if len(addresses) == 1 else [(feed,) for feed in feeds]
    places = []
    for text, group in zip(addresses, groups, strict=True):
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            hint = "for example 127.0.0.1:9000; port 0 picks a free one"
            raise UsageError(f"--serve {text}: not of the form HOST:PORT", hint=hint)
        place = Address(host.strip("[]"), int(port), group)
        if not is_loopback(place.host) and not key:
            raise UsageError(
                f"--serve {text}: other machines can reach this address: a key is needed",
                hint="set --key (or RECORDER_REPLAY_KEY), or serve on 127.0.0.1",
            )
        places.append(place)
    return places


# -- to stdout


def _print(frames: Any, form: str, codings: dict[str, str | None]) -> None:
    out = sys.stdout.buffer
    line = partial(_json, codings) if form == "jsonl" else _raw
    try:
        for frame in frames:
            line(frame, out)
        out.flush()
    except BrokenPipeError:  # the reader, e.g. `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raw(frame: Played, out: BinaryIO) -> None:
    if frame.kind in DATA:
        out.write(frame.payload + b"\n")


def _json(codings: dict[str, str | None], frame: Played, out: BinaryIO) -> None:
    from recorder.coding import text_of

    recv_ns, mono_ns, seq, connection, kind, payload, feed = frame
    fields: dict[str, object] = {"recv_ns": recv_ns, "mono_ns": mono_ns, "feed": feed}
    fields |= {"connection": connection, "seq": seq, "kind": kind}
    try:
        fields["text"] = payload.decode()
    except UnicodeDecodeError:
        fields["base64"] = base64.b64encode(payload).decode()
        text = text_of(codings[feed], payload)
        if text is not payload:
            fields["text"] = text.decode("utf-8", "replace")
    out.write(json.dumps(fields).encode() + b"\n")  # ASCII only: safe for any terminal


# -- to clients


def _serve(play: Play, places: list[Address], access: ClientAccess) -> None:
    # select() waits to the microsecond, where epoll rounds up to milliseconds.
    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    _limit_files()
    _reduce_delays()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_run(play, places, access))


def _reduce_delays() -> None:
    """Keep due frames on time: exclude existing objects from collection, switch threads sooner."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)


def _limit_files() -> None:
    """Limit open files to 1000: select() cannot handle file descriptors from 1024 on."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft > 1000:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))


async def _run(play: Play, places: list[Address], access: ClientAccess) -> None:
    from recorder import log
    from recorder.player.server import CONTROL, is_loopback, listening
    from recorder.player.stage import Stage

    say = log.logger()
    stage, stop = Stage(play, say.info), _stop_event()
    await stage.check()
    async with listening(stage, places, access.key, access.tls) as bound:
        for place in bound:
            host = f"[{place.host}]" if ":" in place.host else place.host
            url = f"{'wss' if access.tls else 'ws'}://{host}:{place.port}"
            if not is_loopback(place.host):
                say.warning("other machines can connect", address=f"{host}:{place.port}")
            for feed in place.feeds:
                click.echo(f"{feed} {url}{'' if len(place.feeds) == 1 else f'/{feed}'}")
            click.echo(f"control {url}{CONTROL}")
        if play.from_now:
            say.warning("FRAMES ARE ALTERED: the times in them are shifted to now (--from-now)")
        await _until(stop, stage)
        await asyncio.gather(*(c.close(1001, "end of the replay") for c in tuple(stage.clients)))


def _stop_event() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set; call it before the addresses are printed."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, stage: Any) -> None:
    """Replay until the end, or until `stop` is set."""
    playing, stopping = asyncio.create_task(stage.run()), asyncio.create_task(stop.wait())
    await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not playing.done():
        playing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await playing
