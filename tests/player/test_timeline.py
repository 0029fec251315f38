"""The clock of a replay, moved by hand."""

from __future__ import annotations

import math

import pytest

from recorder.clock import NS
from recorder.player.timeline import MAX, Timeline


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
def test_it_goes_at_its_speed(speed: float) -> None:
    hand = Hand()
    timeline = Timeline(hand, speed)
    timeline.start(1000 * NS)
    assert timeline.wait(1030 * NS) == pytest.approx(30 / speed)
    hand.at += 10 / speed
    assert timeline.position() == 1010 * NS
    assert timeline.wait(1030 * NS) == pytest.approx(20 / speed)
    assert timeline.wait(1005 * NS) == 0


def test_it_pauses_and_goes_on() -> None:
    hand = Hand()
    timeline = Timeline(hand)
    timeline.start(0)
    hand.at += 5
    timeline.pause()
    hand.at += 1000
    assert timeline.position() == 5 * NS
    assert timeline.wait(6 * NS) == math.inf
    timeline.resume()
    assert timeline.wait(6 * NS) == pytest.approx(1)


def test_a_change_of_speed_moves_nothing() -> None:
    hand = Hand()
    timeline = Timeline(hand)
    timeline.start(0)
    hand.at += 7
    timeline.go(10)
    assert timeline.position() == 7 * NS
    hand.at += 1
    assert timeline.position() == 17 * NS
    timeline.go(MAX)
    assert timeline.wait(1 << 62) == 0
    timeline.reach(500 * NS)
    assert timeline.position() == 500 * NS
    timeline.pause()
    assert timeline.wait(501 * NS) == math.inf
    timeline.resume()
    timeline.go(1)
    assert timeline.wait(501 * NS) == pytest.approx(1)
