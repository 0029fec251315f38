"""Several hosts' runs of one feed in one data directory: what each recorded, sealed in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from kit.frames import T0, frames_of, marker, table

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.record import seal
from recorder.record.layout import Layout, stem

#: No two runs have one name, whatever they record.
_RUNS = count(1)

#: When a trade came on a connection (ns after T0), and what it was.
Said = Sequence[tuple[int, bytes]]


#: Each message is a price, and nothing but its bytes tells it from another.
SQL = """
-- step: messages
SELECT *, 'event' AS class, NULL AS reason FROM frames;

-- table: prices
SELECT
    id.*, 0 AS item, json_extract_string(json, '$.s') AS symbol, 'last' AS kind,
    num(json_extract_string(json, '$.n')) AS price
FROM messages;
"""


def trade(number: int) -> bytes:
    """A message of the toy feed."""
    return b'{"s":"A","n":%d}' % number


def connection(host: int, line: str, opened_ns: int) -> str:
    return ulid(T0 + opened_ns, bytes([host, ord(line)] * 5))


def life(
    host: int, line: str, said: Said, *, opened: int = 0, closed: int | None = None, group: str = ""
) -> list[Frame]:
    """One connection of a host; times in ns after T0."""
    name = connection(host, line, opened)
    about = {"line": line, "group": group or "trades 1/2", "url": "ws://x"}
    frames = [marker(0, "open", T0 + opened, name, **about)]
    frames += frames_of(
        [payload for _, payload in said],
        first_seq=1,
        recv_ns=[T0 + at for at, _ in said],
        connection=name,
    )
    if closed is not None:
        told = about | {"opened": True, "code": 1006, "reason": "lost", "heard_ns": T0 + closed}
        frames.append(marker(len(frames), "closed", T0 + closed, name, **told))
    return frames


@dataclass
class Host:
    """One run of one feed, and the segments it has sealed so far."""

    number: int
    feed: str
    frames: list[Frame] = field(default_factory=list)
    begun: int = 0  # s after T0
    segments: int = 0

    def __post_init__(self) -> None:
        self.run = ulid(T0 + self.begun * NS, next(_RUNS).to_bytes(10, "big"))
        self.frames = sorted(self.frames, key=lambda frame: frame.recv_ns)

    def pieces(self, every_ns: int, phase_ns: int = 0, at_ns: int = 0) -> list[list[Frame]]:
        """The frames in files of so many ns; another begins at `at_ns` after T0, too."""
        found: dict[tuple[int, bool], list[Frame]] = {}
        for frame in self.frames:
            at = frame.recv_ns - T0
            found.setdefault(((at + phase_ns) // every_ns, at >= at_ns), []).append(frame)
        return list(found.values())

    def seal(self, layout: Layout, pieces: Sequence[Sequence[Frame]]) -> None:
        """Put the next pieces where sealed files lie."""
        for piece in pieces:
            self.segments += 1
            path = layout.parquet(self.feed, stem(piece[0].recv_ns, self.run, self.segments))
            seal.write(path, iter([table(piece)]), {"recorder.kind": self.feed})
