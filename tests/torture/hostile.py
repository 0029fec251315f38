"""Peers that want our memory or our time: memory is bounded, the other feeds lose nothing."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, rows
from kit.servers import CONT, PING, PONG, TEXT, Peer, Script, encode, serving

from recorder.session.bounds import Bounds

from .disk import peak_mb
from .kills import clean
from .outcome import Outcome, Scale, by_connection, judge
from .source import Source

_GOOD = "good"
_FRAME_MB = 8
#: Capture itself takes about 48 MB; the rest is leeway for what it writes meanwhile.
_OWN_MB = 94


def hostile_peers(seed: int, scale: Scale) -> Outcome:
    """Each kind of hostile peer for a while, beside a good one; the short form: some at once."""
    outcome, dice = Outcome(), Random(seed)
    few = tuple(dice.sample(list(_PEERS), 6))
    seconds = scale.of(short=2, full=60)
    for names in scale.of(short=[few], full=[*((name,) for name in _PEERS), tuple(_PEERS)]):
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_beside(Path(place) / "data", names, dice, seconds, outcome))
    return outcome


def _most_mb(peers: int) -> int:
    """Return the memory that capture may take: each peer may hold a message of its own, twice.

    All peers together may hold what capture allows for the incomplete messages of the process.
    """
    return _OWN_MB + min(2 * _FRAME_MB * peers, Bounds().partial_bytes >> 20)


async def _beside(
    data: Path, names: tuple[str, ...], dice: Random, seconds: float, outcome: Outcome
) -> None:
    source = Source(dice.randrange(1 << 30), batch=5, pause=0.02)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(source.serving())
        feeds = {_GOOD: {"url": source.url}}
        for number, name in enumerate(names):
            server = await stack.enter_async_context(serving(_PEERS[name], 1 << 30))
            feeds[f"bad{number}"] = {"url": server.url, "compression": True}
        child = await stack.enter_async_context(capturing(data, feeds, max_frame_mb=_FRAME_MB))
        await eventually(lambda: source.talks and source.talks[0].sent, 60)
        await asyncio.sleep(seconds)
        peak = peak_mb(child.pid)
        await source.settle(60)
        code = await child.stopped()
    outcome.worst("peak memory of capture, MB", peak)
    if len(names) == 1:
        outcome.figures[f"{names[0]}: peak, MB"] = round(peak, 1)
    problem = outcome.add(judge(source.talks, by_connection(rows(data, _GOOD))))
    # One connection: no peer's behaviour has cost the good one its own.
    cut = "" if len(source.talks) == 1 else f"the good feed connected {len(source.talks)} times"
    most = _most_mb(len(names))
    fat = "" if peak < most else f"{peak:.0f} MB of memory, where {most} MB are the bound"
    code = 0 if code == 3 else code  # 3: some never connected
    for _ in names:
        outcome.survive(
            problem, cut, fat and f"{', '.join(names)}: {fat}", clean(data, code, child.said)
        )


# -- the peers


async def _for_ever(peer: Peer, data: bytes, pause: float = 0.001) -> None:
    with contextlib.suppress(ConnectionError):
        while not peer.gone.is_set():
            await peer.write(data)
            await asyncio.sleep(pause)


def _sending(
    data: bytes, *, first: bytes = b"", pause: float = 0.001, reads: bool = True
) -> Script:
    """Accept, send something, then the same again and again."""

    async def script(peer: Peer) -> None:
        await peer.accept(extension="permessage-deflate")
        if not reads:
            peer._reader._transport.pause_reading()  # the kernel's buffers fill
        await peer.write(first)
        await _for_ever(peer, data, pause)

    return script


def _answering(head: bytes, more: bytes, pause: float = 0.001) -> Script:
    """Answer the handshake with something that does not end."""

    async def script(peer: Peer) -> None:
        await peer.write(head)
        await _for_ever(peer, more, pause)

    return script


async def _close_for_ever(peer: Peer) -> None:
    """Begin to close, and keep sending."""
    peer.answers_close = False
    await peer.accept()
    await peer.close(1000)
    await _for_ever(peer, encode(TEXT, b"x" * 1000) * 20)


async def _many_small_messages(peer: Peer) -> None:
    """Compressed messages of nothing."""
    await peer.accept(extension="permessage-deflate")
    await _for_ever(peer, encode(TEXT, b"\x00", compressed=True) * 100, 0.005)


def _bomb() -> bytes:
    squeeze = zlib.compressobj(9, wbits=-15)
    return squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_SYNC_FLUSH)


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
_UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\n"
_PEERS: dict[str, Callable[[Peer], Awaitable[None]]] = {
    "pings, never reads": _sending(encode(PING, b"p" * 125) * 500, reads=False),
    "pings without end": _sending(encode(PING, b"") * 500),
    "pongs without end": _sending(encode(PONG, b"p" * 125) * 500),
    "pings between the fragments": _sending(
        (encode(CONT, b"", fin=False) + encode(PING, b"p")) * 200,
        first=encode(TEXT, b"[", fin=False),
    ),
    "empty fragments": _sending(
        encode(CONT, b"", fin=False) * 5_000, first=encode(TEXT, b"[", fin=False)
    ),
    "empty compressed fragments": _sending(
        encode(CONT, b"", fin=False) * 5_000,
        first=encode(TEXT, b"\x00", fin=False, compressed=True),
    ),
    "inflating fragments": _sending(
        encode(CONT, _bomb(), fin=False), first=encode(TEXT, _bomb(), fin=False, compressed=True)
    ),
    "a message without end": _sending(
        encode(CONT, b"x" * 10_000, fin=False), first=encode(TEXT, b"[", fin=False)
    ),
    "a message that drips": _sending(
        encode(CONT, b"x", fin=False), first=encode(TEXT, b"[", fin=False), pause=0.01
    ),
    "a length of 2^62": _sending(b"x" * 10_000, first=b"\x81\x7f\x40" + bytes(7)),
    "unknown control frames": _sending(encode(11, b"?" * 125) * 500),
    "unknown data frames": _sending(encode(3, b"?" * 125) * 500),
    "masked frames": _sending(b"\x81\x85abcdhello" * 500),
    "close frames without end": _sending(encode(8, b"\x03\xe8") * 500),
    "closes and keeps sending": _close_for_ever,
    "a header that drips": _answering(_UPGRADE + b"X-Slow: ", b"l", 0.05),
    "headers without end": _answering(_UPGRADE, b"X-More: " + b"m" * 8_000 + b"\r\n"),
    "a page without end": _answering(_OK, b"<p>" * 5_000),
    "no HTTP at all": _answering(b"", b"\x00\xff" * 5_000),
    "messages of nothing": _many_small_messages,
}  # fmt: skip
