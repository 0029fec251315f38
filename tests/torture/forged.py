"""A malicious writer, who makes every checksum of a journal fit: what is named, and what not.

A checksum is no secret. So a journal of which nothing else knows anything can be rewritten unseen;
the numbers of its frames, the tables, and the head of its run know better where there are any.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kit.captures import rows
from kit.records import stamped

from recorder.record import seal
from recorder.record.journal import reader
from recorder.record.journal.block import RECORD, Block, columns, encode
from recorder.record.journal.block import seed as salt_of
from recorder.record.layout import Layout
from recorder.record.verify import verify
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

from .outcome import Outcome, Scale
from .written import write_journals

_FEED = "smartmoney"

Blocks = list[Block]
Forgery = Callable[[Blocks, Random], Blocks]


def _changed(blocks: Blocks, dice: Random) -> Blocks:
    """Change a digit of one frame."""
    place = dice.randrange(1, len(blocks))
    body = bytearray(blocks[place].body)
    digits = [at for at in range(RECORD.size, len(body)) if chr(body[at]).isdigit()]
    at = dice.choice([at for at in digits if at > RECORD.size + 30])
    body[at] = ord(str((body[at] - ord("0") + 1) % 10))
    return [*blocks[:place], blocks[place]._replace(body=bytes(body)), *blocks[place + 1 :]]


def _removed(blocks: Blocks, dice: Random) -> Blocks:
    """Remove a block; the numbers of the others stay."""
    place = dice.randrange(1, len(blocks) - 1)
    return blocks[:place] + blocks[place + 1 :]


def _renumbered(blocks: Blocks, dice: Random) -> Blocks:
    """Remove a block, and number the others as if it had never been."""
    number, forged = 0, []
    for block in _removed(blocks, dice):
        forged.append(block._replace(first_seq=number))
        number += block.frames
    return forged


def _swapped(blocks: Blocks, dice: Random) -> Blocks:
    """Let two blocks change places."""
    one, two = sorted(dice.sample(range(1, len(blocks)), 2))
    forged = list(blocks)
    forged[one], forged[two] = blocks[two], blocks[one]
    return forged


@dataclass(frozen=True)
class _Case:
    forgery: Forgery
    known_by: str  # what else knows the journal: nothing, "tables", or the "head"
    named: bool


_CASES = (
    _Case(_changed, "", named=False),
    _Case(_renumbered, "", named=False),
    _Case(_removed, "", named=True),
    _Case(_swapped, "", named=True),
    _Case(_renumbered, "tables", named=True),
    _Case(_changed, "head", named=True),
    _Case(_renumbered, "head", named=True),
    _Case(_removed, "head", named=True),
    _Case(_swapped, "head", named=True),
)


def forged_journals(seed: int, scale: Scale) -> Outcome:
    """Forged journals, unsealed and put back after sealing: named where something knows better."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=50)):
        for case in _CASES:
            with tempfile.TemporaryDirectory() as place:
                outcome.survive(_forge(Layout(Path(place)), case, dice))
                outcome.worst("forged and known to nobody", sum(not c.named for c in _CASES))
    return outcome


def _forge(layout: Layout, case: _Case, dice: Random) -> str:
    write_journals(layout.root, _FEED, dice, frames=200, rotate_bytes=1 << 30)
    [stem] = layout.active(_FEED)
    path = layout.journal(_FEED, stem)
    forged = _encoded(path, case.forgery, dice)
    if case.known_by == "tables":
        with closing(
            Ingest(layout, lambda feed: Rules(feed, 100_000.0, stamped=stamped(feed)))
        ) as work:
            work.run()
            work.publish()
    if case.known_by == "head":
        _seal(layout)
        honest = rows(layout.root, _FEED)
    path.write_bytes(forged)
    if case.known_by == "head":
        _seal(layout)
        if rows(layout.root, _FEED) != honest:
            return f"{case}: the honest frames are gone"
    report = verify(layout)
    if (report.verdict == "wrong") != case.named:
        return f"{case}: {report.verdict}, {report.findings[:2]}"
    return ""


def _seal(layout: Layout) -> None:
    with contextlib.redirect_stderr(io.StringIO()):  # a line for what is set aside
        seal.main([str(layout.root)])


def _encoded(path: Path, forgery: Forgery, dice: Random) -> bytes:
    """The journal's description as it is, and forged blocks whose checksums fit."""
    blocks = [item for item in reader.blocks(path) if isinstance(item, Block)]
    about = path.read_bytes()[: blocks[0].start]
    return about + b"".join(_again(path.stem, block) for block in forgery(blocks, dice))


def _again(stem: str, block: Block) -> bytes:
    parts = [
        part
        for kind, payload in zip(*columns(block), strict=True)
        for part in (RECORD.pack(kind, len(payload)), payload)
    ]
    stamps = block.recv_ns, block.mono_ns
    return encode(salt_of(stem), block.connection, block.first_seq, *stamps, parts)
