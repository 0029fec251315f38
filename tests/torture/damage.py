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
from recorder.record.journal.block import Block, Damage, scan, seed
from recorder.record.layout import Layout

from .outcome import Outcome, Scale
from .written import Writer

_FEED = "toy"
_BLOCKS = 40
_SEALED_TOO = 200  # of so many damaged journals, one is also sealed by the real process's code


@dataclass(frozen=True)
class _Original:
    """A journal as it was written."""

    name: str
    data: bytes
    blocks: list[tuple[bytes, list[Frame]]]  # each block's bytes, and the frames in it

    @property
    def frames(self) -> int:
        return sum(len(frames) for _, frames in self.blocks)


def _write(root: Path, dice: Random) -> _Original:
    writer = Writer(root, _FEED)
    for number in range(_BLOCKS):
        kinds = dice.choices(("text", "binary"), k=dice.randrange(1, 9))
        writer.block([(kind, _payload(dice, number)) for kind in kinds])
    writer.close()
    stem = Layout(root).active(_FEED)[-1]
    path = Layout(root).journal(_FEED, stem)
    data = path.read_bytes()
    whole = [block for block in reader.blocks(path) if isinstance(block, Block)]
    blocks = [(data[b.start : b.end], list(reader.frames_of(b))) for b in whole]
    path.unlink()
    return _Original(path.name, data, blocks)


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
        original = _write(Path(place), dice)
        for cut in range(0, len(original.data) + 1, scale.of(short=61, full=1)):
            _check(Path(place), original, original.data[:cut], outcome)
    return outcome


def mutations(seed_: int, scale: Scale) -> Outcome:
    """Flipped bits, zeroed tails, garbage, foreign blocks, blocks moved and repeated."""
    outcome, dice = Outcome(), Random(seed_)
    with tempfile.TemporaryDirectory() as place:
        for _ in range(scale.of(short=4, full=200)):
            original, other = _write(Path(place), dice), _write(Path(place), dice)
            for _ in range(100):
                hurt = bytearray(original.data)
                for _ in range(dice.choice((1, 1, 1, 2, 3))):
                    dice.choice(_MUTATIONS)(hurt, original, other, dice)
                _check(Path(place), original, bytes(hurt), outcome)
    return outcome


def _check(root: Path, original: _Original, data: bytes, outcome: Outcome) -> None:
    """Every block whose bytes are still there comes back once, and nothing else does."""
    path = Layout(root).journal_dir(_FEED) / original.name
    path.write_bytes(data)
    intact = [frames for block, frames in original.blocks if block in data]
    expected = [frame for frames in intact for frame in frames]
    items = list(reader.blocks(path))
    found = [f for item in items if isinstance(item, Block) for f in reader.frames_of(item)]
    problem = _compare(expected, found, outcome)
    damaged = any(isinstance(item, Damage) for item in items)
    _count(outcome, "damaged inputs tried", data != original.data)
    _count(outcome, "damaged inputs noted as damaged", damaged)
    if outcome.tried % _SEALED_TOO == 0:
        problem += _sealed(root, path, expected)
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


def _sealed(root: Path, path: Path, expected: list[Frame]) -> str:
    """Seal it as well; what is wrong with the Parquet file."""
    with contextlib.redirect_stderr(io.StringIO()):  # one note per damaged place
        code = seal.main([str(root)])
    found = sorted(rows(root, _FEED), key=lambda f: f.seq)
    for parquet in root.rglob("*.parquet"):
        parquet.unlink()
    shutil.rmtree(Layout(root).heads)  # each damaged journal is another world's
    if code == 0 and found == sorted(expected, key=lambda f: f.seq) and not path.exists():
        return ""
    return f"sealed: exit code {code}, {len(found)} frames for {len(expected)}"


def _count(outcome: Outcome, name: str, happened: bool) -> None:
    outcome.figures[name] = outcome.figures.get(name, 0) + happened


# -- mutations, each in place


def _flip(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    for _ in range(dice.randrange(1, 9)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _zero_tail(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    start = dice.randrange(len(data))
    data[start:] = bytes(len(data) - start + dice.choice((0, 4096)))


def _zero_page(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    start = dice.randrange(0, len(data), 4096)
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))


def _insert_garbage(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.choice((b"", b"\xf5JB1")) + dice.randbytes(dice.randrange(1, 500))


def _overwrite(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    at, noise = dice.randrange(len(data)), dice.randbytes(dice.randrange(1, 500))
    data[at : at + len(noise)] = noise[: len(data) - at]


def _remove(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randrange(1, 600)]
    data += b"\0" * (not data)


def _insert_block(blocks: Iterable[bytes]) -> Callable[[bytearray, Random], None]:
    some = list(blocks)

    def insert(data: bytearray, dice: Random) -> None:
        at = dice.randrange(len(data) + 1)
        data[at:at] = dice.choice(some)

    return insert


def _repeat_block(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    _insert_block(block for block, _ in original.blocks)(data, dice)


def _foreign_block(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
    _insert_block(block for block, _ in other.blocks)(data, dice)


def _swap_blocks(data: bytearray, original: _Original, other: _Original, dice: Random) -> None:
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
