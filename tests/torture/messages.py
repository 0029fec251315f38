"""Messages in every shape a WebSocket allows, and one that it should not: a bomb."""

from __future__ import annotations

import asyncio
import tempfile
import zlib
from pathlib import Path
from random import Random

from kit.captures import PATIENCE, capturing, eventually, received, recorded
from kit.servers import CONT, OPCODES, PING, Message, Peer, encode, serving

from .disk import peak_mb
from .kills import clean
from .outcome import Outcome, Scale, Talk, judge

_FRAME_MB = 1


def shapes(seed: int, scale: Scale) -> Outcome:
    """Random messages, compressed or not, in random fragments, in random pieces on the wire."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=4)):
        with tempfile.TemporaryDirectory() as place:
            messages = scale.of(short=300, full=5_000)
            asyncio.run(_shapes(Path(place) / "data", dice, messages, outcome))
    return outcome


async def _shapes(data: Path, dice: Random, messages: int, outcome: Outcome) -> None:
    async def script(peer: Peer) -> None:
        compressing = peer.head.partition("permessage-deflate")[1]
        await peer.accept(extension=compressing)
        squeeze = zlib.compressobj(wbits=-15)
        for number in range(messages):
            message = _message(dice, number)
            peer.sent.append(message)
            packed = squeeze if compressing and dice.random() < 0.5 else None
            await _in_pieces(peer, _frames(message, dice, packed), dice)

    async with serving(script, 1) as plain, serving(script, 1) as compressed:
        servers = {"plain": plain, "compressed": compressed}
        feeds = {name: {"url": server.url} for name, server in servers.items()}
        feeds["compressed"]["compression"] = True
        async with capturing(data, feeds) as child:
            async with asyncio.timeout(PATIENCE * 3):
                await plain.done.wait()
                await compressed.done.wait()
            await asyncio.sleep(0.5)
            code = await child.stopped()
    for name, server in servers.items():
        sent = server.peers[0].sent
        (connection,) = recorded(data, name)
        problem = outcome.add(judge([Talk(0, sent, [], len(sent))], [received(connection)]))
        outcome.survive(problem, clean(data, code, child.said))


def _message(dice: Random, number: int) -> Message:
    size = dice.choice((0, 5, 120, 130, 5_000, 70_000 if number % 50 == 0 else 300))
    if dice.random() < 0.5:
        return "binary", b"%d " % number + dice.randbytes(size)
    return "text", f"{number} ".encode() + "".join(dice.choices("aß漢💥", k=size)).encode()


def _frames(message: Message, dice: Random, squeeze: zlib._Compress | None) -> bytes:
    """The message on the wire: in one to five fragments, with pings between them."""
    kind, payload = message
    if squeeze is not None:
        payload = (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(dice.randrange(5)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    wire = b""
    for index, part in enumerate(parts):
        opcode, last = CONT if index else OPCODES[kind], index == len(parts) - 1
        wire += encode(opcode, part, fin=last, compressed=squeeze is not None and not index)
        if dice.random() < 0.1:
            wire += encode(PING, b"between")
    return wire


async def _in_pieces(peer: Peer, wire: bytes, dice: Random) -> None:
    """Write it in up to three pieces, the first ones often of a byte or two."""
    async with peer.in_a_frame:
        for size in (dice.choice((1, 2, 100)), dice.choice((1, 3, 100_000))):
            await peer.write(wire[:size])
            wire = wire[size:]
            if dice.random() < 0.05:
                await asyncio.sleep(0.001)
        await peer.write(wire)


def bomb(seed: int, scale: Scale) -> Outcome:
    """Half a megabyte that inflates to 512 (short: 64): refused with 1009, memory stays bounded."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=10)):
        with tempfile.TemporaryDirectory() as place:
            megabytes = scale.of(short=64, full=512)
            asyncio.run(_bomb(Path(place) / "data", dice, megabytes, outcome))
    return outcome


def _inflating(megabytes: int, filling: bytes) -> bytes:
    squeeze = zlib.compressobj(9, wbits=-15)
    packed = b"".join(squeeze.compress(filling * (1 << 20)) for _ in range(megabytes))
    return (packed + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def _bomb(data: Path, dice: Random, megabytes: int, outcome: Outcome) -> None:
    payload = _inflating(megabytes, b"%d" % dice.randrange(10))
    before, after = [("text", b"before")], [("text", b"after")]
    cut = dice.randrange(1, len(payload))

    async def script(peer: Peer) -> None:
        await peer.accept(extension="permessage-deflate")
        await peer.send(*(after if peer.number else before))
        if peer.number == 0:
            whole = dice.random() < 0.5
            first = payload if whole else payload[:cut]
            await peer.write(encode(OPCODES["text"], first, fin=whole, compressed=True))
            if not whole:
                await peer.write(encode(CONT, payload[cut:]))
            await peer.gone.wait()

    async with serving(script, 2) as server:
        feeds = {"mine": {"url": server.url, "compression": True}}
        async with capturing(data, feeds, max_frame_mb=_FRAME_MB) as child:
            await eventually(lambda: len(server.peers) == 2 and server.done.is_set())
            await asyncio.sleep(0.3)
            peak = peak_mb(child.pid)
            code = await child.stopped()
    outcome.worst("peak memory of capture, MB", peak)
    closed = server.peers[0].closed
    talks = [Talk(0, before, [], 1), Talk(1, after, [], 1)]
    problem = outcome.add(judge(talks, [received(c) for c in recorded(data, "mine")]))
    outcome.survive(
        problem,
        "" if closed and closed[0] == 1009 else f"closed with {closed}, not 1009",
        "" if peak < 150 else f"{peak:.0f} MB of memory",
        clean(data, code, child.said),
    )
