"""The channels that a record was asked for, from the markers of its connections."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from recorder.errors import RecorderError
from recorder.player.run import RecordedRun
from recorder.record.layout import Layout, run_of
from recorder.record.openings import openings
from recorder.record.read import stems

#: More segments than this are not searched: then it is not certain what the record has.
_MOST = 200


@dataclass(frozen=True, slots=True)
class Recorded:
    """The channels of a feed's record; `certain` if no other can be in it."""

    channels: frozenset[str] = frozenset()
    certain: bool = False


class _Opening(msgspec.Struct):
    channels: tuple[str, ...] = ()


def recorded(layout: Layout, feed: str, runs: Sequence[RecordedRun]) -> Recorded:
    """Return the channels that the connections of these runs subscribed to.

    A connection of the range may have opened long before it: the runs are searched from their
    beginning. Files that are not on this machine are not.
    """
    wanted = {run_of(stem) for run in runs for stem in run.stems}
    names = [stem for stem in stems(layout, feed) if run_of(stem) in wanted]
    found: set[str] = set()
    certain = len(names) <= _MOST
    for stem in names[:_MOST]:
        try:
            for payload in openings(layout, feed, stem):
                with suppress(msgspec.MsgspecError):
                    found.update(msgspec.json.decode(payload, type=_Opening).channels)
        except (OSError, pa.ArrowException, RecorderError):  # elsewhere, pruned or damaged
            certain = False
    return Recorded(frozenset(found), certain and bool(found))
