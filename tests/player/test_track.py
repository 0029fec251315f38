"""A feed's stretches are read ahead of their play."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pyarrow as pa
import pytest

from recorder.errors import DataError
from recorder.player.ready import Ready
from recorder.player.track import Track
from recorder.player.wire import encoded
from recorder.service import Service


def stretch(at: int) -> Ready:
    payloads = pa.array([b"x"], pa.binary())
    wire = encoded(payloads, pa.array([False]))
    return Ready(memoryview(array("q", [at])), at, payloads, wire, [], Service())


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
async def test_every_stretch_comes_once_and_in_order(count: int) -> None:
    track = Track("mine", iter([stretch(at) for at in range(count)]))
    found = []
    await track.turn()
    while track.rows is not None:
        found.append((track.due, track.sent))
        track.sent = 1
        await track.turn()
    assert found == [(at, 0) for at in range(count)]
    await track.leave()


@pytest.mark.parametrize("good", [0, 1, 3, 4, 6])
async def test_what_lies_before_damage_is_played_before_it_is_told(good: int) -> None:
    def damaged() -> Iterator[Ready]:
        yield from (stretch(at) for at in range(good))
        raise DataError("is damaged", where="a file")

    track = Track("mine", damaged())
    for at in range(good):
        await track.turn()
        assert track.rows is not None
        assert track.rows.last == at
    with pytest.raises(DataError, match="a file: is damaged"):
        await track.turn()
    await track.leave()
