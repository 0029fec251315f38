"""Journals that come back from the disk other than they were written."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kit.captures import rows

from recorder.frame import Frame
from recorder.record import seal
from recorder.record.journal import reader
from recorder.record.journal.block import HEADER, Block, Damage, is_cut, scan, seed
from recorder.record.layout import Layout

from .outcome import Outcome, Scale
from .written import Writer

_FEED = "toy"
_BLOCKS = 40
_CUTS_SEALED = 200  # of this many cut journals, one is also sealed


@dataclass(frozen=True)
class Original:
    """A journal as it was written."""

    name: str
    data: bytes
    about: bytes  # its first block
    blocks: list[tuple[bytes, list[Frame]]]  # each later block's bytes, and the frames in it

    def expected(self, data: bytes) -> list[Frame]:
        """The frames of all blocks whose bytes are in `data`."""
        intact = [frames for block, frames in self.blocks if block in data]
        return [frame for frames in intact for frame in frames]

    def accounts_for(self, data: bytes) -> bool:
        """True if `data` is nothing but blocks, each once, and perhaps the beginning of one."""
        known = {self.about, *(block for block, _ in self.blocks)}
        position = 0
        while position + HEADER.size <= len(data):
            end = position + HEADER.size + HEADER.unpack_from(data, position)[1]
            if data[position:end] not in known:
                break
            known.remove(data[position:end])
            position = end
        return position == len(data) or is_cut(data[position:])


def write(root: Path, feed: str, dice: Random) -> Original:
    """Write a journal, read it, and remove it."""
    writer = Writer(root, feed)
    for number in range(_BLOCKS):
        kinds = dice.choices(("text", "binary"), k=dice.randrange(1, 9))
        writer.block([(kind, _payload(dice, number)) for kind in kinds])
    writer.close()
    stem = Layout(root).active(feed)[-1]
    path = Layout(root).journal(feed, stem)
    data = path.read_bytes()
    whole = [block for block in reader.blocks(path) if isinstance(block, Block)]
    blocks = [(data[b.start : b.end], list(reader.frames_of(b))) for b in whole]
    path.unlink()
    return Original(path.name, data, data[: whole[0].start], blocks)


def _payload(dice: Random, number: int) -> bytes:
    if dice.random() < 0.1:
        # What looks like the beginning of a block; not at the end, where a later block's rest
        # could make it one.
        return b"\xf5JB1" * dice.randrange(20) + b"."
    return b"%d " % number + dice.randbytes(dice.randrange(90))


def every_cut(seed_: int, scale: Scale) -> Outcome:
    """A journal cut at every byte: what is left is a prefix of whole blocks, to the last one."""
    outcome, dice = Outcome(), Random(seed_)
    with tempfile.TemporaryDirectory() as place:
        original = write(Path(place), _FEED, dice)
        for cut in range(0, len(original.data) + 1, scale.of(short=61, full=1)):
            _check(Path(place), original, original.data[:cut], outcome)
    return outcome


def mutations(seed_: int, scale: Scale) -> Outcome:
    """Flipped bits, zeroed tails, garbage, foreign blocks, blocks moved and repeated."""
    outcome, dice = Outcome(), Random(seed_)
    with tempfile.TemporaryDirectory() as place:
        for _ in range(scale.of(short=2, full=200)):
            original, other = write(Path(place), _FEED, dice), write(Path(place), _FEED, dice)
            for _ in range(scale.of(short=50, full=100)):
                hurt = mutated(original, other, dice)
                _check(Path(place), original, hurt, outcome, sealed=True)
    return outcome


def mutated(original: Original, other: Original, dice: Random) -> bytes:
    """A journal's bytes with one to three mutations."""
    hurt = bytearray(original.data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        dice.choice(_MUTATIONS)(hurt, original, other, dice)
    return bytes(hurt)


def _check(
    root: Path, original: Original, data: bytes, outcome: Outcome, *, sealed: bool = False
) -> None:
    """Every block whose bytes are still there comes back once, and nothing else does."""
    path = Layout(root).journal_dir(_FEED) / original.name
    path.write_bytes(data)
    expected = original.expected(data)
    items = list(reader.blocks(path))
    found = [f for item in items if isinstance(item, Block) for f in reader.frames_of(item)]
    problem = _compare(expected, found, outcome)
    damaged = any(isinstance(item, Damage) for item in items)
    _count(outcome, "damaged inputs tried", data != original.data)
    _count(outcome, "damaged inputs noted as damaged", damaged)
    if sealed or outcome.tried % _CUTS_SEALED == 0:
        problem += _sealed(root, path, data, original, outcome)
    outcome.survive(problem)
    path.unlink(missing_ok=True)


def _compare(expected: list[Frame], found: list[Frame], outcome: Outcome) -> str:
    there, due = Counter(found), Counter(expected)
    lost, wrong = (due - there).total(), (there - due).total()
    twice = sum(min(n - 1, (there - due)[f]) for f, n in there.items() if n > 1)
    outcome.acknowledged += len(expected)
    outcome.recovered += len(found)
    outcome.lost += lost
    outcome.duplicated += twice
    outcome.altered += wrong - twice
    return f"{lost} lost, {twice} duplicated, {wrong - twice} altered" if lost or wrong else ""


def _sealed(root: Path, path: Path, data: bytes, original: Original, outcome: Outcome) -> str:
    """Seal it as well; what is wrong with what is there then."""
    with contextlib.redirect_stderr(io.StringIO()):  # one note per damaged place
        code = seal.main([str(root)])
    _count(outcome, "sealed", happened=True)
    problem = accounted(root, _FEED, data, original, outcome)
    for parquet in root.rglob("*.parquet"):
        parquet.unlink()
    shutil.rmtree(Layout(root).heads)  # each damaged journal is another world's
    shutil.rmtree(path.parent / "damaged", ignore_errors=True)
    return problem if code == 0 and not path.exists() else f"exit code {code}; {problem}"


def accounted(root: Path, feed: str, data: bytes, original: Original, outcome: Outcome) -> str:
    """What is wrong with the sealed file of a journal that held `data`, or with what was kept.

    Every good frame is sealed; and every byte is accounted for in the sealed file, or the journal
    is kept as it was.
    """
    found = sorted(rows(root, feed), key=lambda f: f.seq)
    expected = sorted(original.expected(data), key=lambda f: f.seq)
    problem = "" if found == expected else f"{len(found)} sealed of {len(expected)} frames"
    kept = Layout(root).journal_dir(feed) / "damaged" / original.name
    if kept.exists():
        _count(outcome, "kept as they were in damaged/", happened=True)
        return problem if kept.read_bytes() == data else f"{problem}; kept, but with other bytes"
    if original.accounts_for(data):
        return problem
    return f"{problem}; {len(data)} bytes deleted that are nowhere else"


def _count(outcome: Outcome, name: str, happened: bool) -> None:
    outcome.figures[name] = outcome.figures.get(name, 0) + happened


# -- mutations, each in place


def _flip(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    for _ in range(dice.randrange(1, 9)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _zero_tail(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    start = dice.randrange(len(data))
    data[start:] = bytes(len(data) - start + dice.choice((0, 4096)))


def _zero_page(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    start = dice.randrange(0, len(data), 4096)
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))


def _insert_garbage(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.choice((b"", b"\xf5JB1")) + dice.randbytes(dice.randrange(1, 500))


def _overwrite(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    at, noise = dice.randrange(len(data)), dice.randbytes(dice.randrange(1, 500))
    data[at : at + len(noise)] = noise[: len(data) - at]


def _remove(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randrange(1, 600)]
    data += b"\0" * (not data)


def _insert_block(blocks: Iterable[bytes]) -> Callable[[bytearray, Random], None]:
    some = list(blocks)

    def insert(data: bytearray, dice: Random) -> None:
        at = dice.randrange(len(data) + 1)
        data[at:at] = dice.choice(some)

    return insert


def _repeat_block(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    _insert_block(block for block, _ in original.blocks)(data, dice)


def _foreign_block(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    _insert_block(block for block, _ in other.blocks)(data, dice)


def _swap_blocks(data: bytearray, original: Original, other: Original, dice: Random) -> None:
    whole = [b for b in scan(bytes(data), seed(Path(original.name).stem)) if isinstance(b, Block)]
    if len(whole) > 1:
        one, two = sorted(dice.sample(whole, 2))
        first, second = data[one.start : one.end], data[two.start : two.end]
        data[two.start : two.end], data[one.start : one.end] = first, second


_MUTATIONS = (
    _flip,
    _zero_tail,
    _zero_page,
    _insert_garbage,
    _overwrite,
    _remove,
    _repeat_block,
    _foreign_block,
    _swap_blocks,
)
