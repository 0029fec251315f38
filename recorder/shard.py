"""A host's share of what many hosts record: the slice of the channels that it records.

Channels go to slices by rendezvous hashing: each slice draws a number for a channel, by a hash that
is the same everywhere, and the highest wins. No host has to know what the others do. With one slice
more only the channels that it wins move: of n slices' channels, about one in n + 1.

With `lines = 2` a channel is recorded by two hosts: host `i` keeps slice `i` as its line A, and
slice `i - 1` (of the first host: the last) as its line B.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

#: An example for error messages.
EXAMPLE = "for example 3/8: the third of eight hosts"

#: More hosts than anybody has; every slice costs each channel a draw.
MOST = 1000

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")

#: A digest of 64 bytes holds the numbers of this many slices.
_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """Host `number` of `of`, both from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def slices(self, lines: int) -> dict[int, int]:
        """Return the slices that this host records, each with its line's number (0 is A).

        Raises:
            ValueError: more lines than hosts, so that two would be on one host.
        """
        if lines > self.of:
            raise ValueError(
                f"{lines} lines need {lines} hosts or more, and there "
                f"{'is' if self.of == 1 else 'are'} {self.of}: two would be on one host"
            )
        return {(self.number - 1 - line) % self.of + 1: line for line in range(lines)}

    def group(self, name: str, part: int) -> str:
        """Return the name of a slice's line group in markers: the same on every host."""
        return f"{name} {part}/{self.of}"


def parse(text: str) -> Shard:
    """Read `3/8`.

    Raises:
        ValueError: not such a text, or its numbers are out of range.
    """
    found = _SHARD.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not a shard; {EXAMPLE}")
    shard = Shard(int(found[1]), int(found[2]))
    if not 1 <= shard.of <= MOST:
        raise ValueError(f"'{text}' is not a shard: there are 1 to {MOST} hosts; {EXAMPLE}")
    if not 1 <= shard.number <= shard.of:
        raise ValueError(f"'{text}' is not a shard: hosts count from 1 to {shard.of}; {EXAMPLE}")
    return shard


def slice_of(feed: str, channel: str, of: int) -> int:
    """Return which of `of` slices, counted from 1, a channel of a feed belongs to."""
    name = f"{feed}\0{channel}".encode()
    drawn = b"".join(
        blake2b(name, salt=part.to_bytes(2, "big")).digest() for part in range(-(-of // _DRAWS))
    )
    return max(range(of), key=lambda index: drawn[8 * index : 8 * index + 8]) + 1


def share(feed: str, channels: Iterable[str], of: int, part: int) -> list[str]:
    """Return those of a feed's channels that belong to slice `part`, in their order."""
    return [channel for channel in channels if slice_of(feed, channel, of) == part]
