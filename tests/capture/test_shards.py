"""A host's share of the channels: every channel on one host, or with two lines on two."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.captures import Child, capturing, eventually, marker, recorded, write_settings
from kit.servers import Peer, serving
from plugged import install

from recorder.capture.catalogue import VenueListing
from recorder.capture.sources import FeedSource, sources
from recorder.errors import ConfigError
from recorder.feed import Instrument
from recorder.record.layout import Layout
from recorder.settings.config import load
from recorder.shard import Shard, parse, share, slice_of

CHANNELS = [f"{symbol}usdt@{kind}" for symbol in "abcdefghij" for kind in ("aggTrade", "depth")]

names = st.text(min_size=1, max_size=20)
counts = st.integers(1, 40)


# -- slices


@given(names, st.lists(names, unique=True, max_size=30), counts)
def test_every_channel_is_in_exactly_one_slice(feed: str, channels: list[str], of: int) -> None:
    found = [share(feed, channels, of, part) for part in range(1, of + 1)]
    assert sorted(channel for some in found for channel in some) == sorted(channels)
    assert all(some == [channel for channel in channels if channel in some] for some in found)


@given(names, names, counts)
def test_with_one_slice_more_a_channel_stays_or_moves_to_the_new_one(
    feed: str, channel: str, of: int
) -> None:
    assert slice_of(feed, channel, of + 1) in {slice_of(feed, channel, of), of + 1}


def test_the_slices_of_a_channel_are_the_same_on_every_machine_and_version() -> None:
    found = [slice_of("binance", "btcusdt@aggTrade", of) for of in (1, 2, 8, 9, 64)]
    assert found == [1, 2, 4, 4, 4]


def test_nine_hosts_in_place_of_eight_move_a_ninth_of_the_channels() -> None:
    channels = [f"symbol{number}@aggTrade" for number in range(9000)]
    moved = sum(slice_of("f", c, 8) != slice_of("f", c, 9) for c in channels)
    assert 850 < moved < 1150
    sizes = Counter(slice_of("f", c, 8) for c in channels)
    assert min(sizes.values()) > 1000 and max(sizes.values()) < 1250


@given(st.integers(2, 20).flatmap(lambda of: st.tuples(st.just(of), st.integers(1, min(of, 8)))))
def test_each_slice_has_each_line_on_another_host(numbers: tuple[int, int]) -> None:
    of, lines = numbers
    places: dict[int, dict[int, int]] = {part: {} for part in range(1, of + 1)}
    for host in range(1, of + 1):
        for part, line in Shard(host, of).slices(lines).items():
            places[part][line] = host
    for kept in places.values():
        assert set(kept) == set(range(lines)) and len(set(kept.values())) == lines


def test_host_i_keeps_slice_i_and_as_line_b_the_one_before() -> None:
    assert parse("3/8").slices(2) == {3: 0, 2: 1}
    assert parse("1/8").slices(2) == {1: 0, 8: 1}


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "x", "3", "3/", "/8", "-1/8", "3/0", "1/1001", "³/8"]
)
def test_what_is_no_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a shard(.*)for example 3/8"):
        parse(text)


# -- what a host records


def sourced(tmp_path: Path, shard: str, text: str, **listings: VenueListing) -> list[FeedSource]:
    path = tmp_path / "recorder.toml"
    path.write_text(f'[capture]\nshard = "{shard}"\n{text}', "utf-8")
    settings = load(path)
    return sources(settings, dict.fromkeys(settings.feeds, "k"), listings)


def text_of(channels: list[str], lines: int = 1) -> str:
    return f"[feeds.binance]\nlines = {lines}\nchannels = {channels!r}\n".replace("'", '"')


@pytest.mark.parametrize(("hosts", "lines"), [(1, 1), (3, 1), (3, 2), (3, 3), (8, 2)])
def test_all_hosts_together_record_each_channel_once_a_line(
    tmp_path: Path, hosts: int, lines: int
) -> None:
    kept: Counter[tuple[str, int]] = Counter()
    groups: dict[str, set[tuple[str, ...]]] = {}
    for number in range(1, hosts + 1):
        [source] = sourced(tmp_path, f"{number}/{hosts}", text_of(CHANNELS, lines))
        for plan, line in source.places:
            assert plan.group.endswith(f"/{hosts}")
            kept.update((channel, line) for channel in plan.channels)
            groups.setdefault(plan.group, set()).add(plan.channels)
        assert len({(plan.group, line) for plan, line in source.places}) == len(source.places)
    assert kept == Counter((channel, line) for channel in CHANNELS for line in range(lines))
    # Both hosts of a slice name the same channels alike: so their lines are known as redundant.
    assert all(len(some) == 1 for some in groups.values())


def test_the_group_is_the_plan_s_with_the_slice_behind_it(tmp_path: Path) -> None:
    [source] = sourced(tmp_path, "1/1", text_of(["btcusdt@aggTrade"]))
    assert [plan.group for plan, _ in source.places] == ["trades 1/1"]


def test_patterns_are_expanded_first_and_a_new_symbol_moves_no_other(tmp_path: Path) -> None:
    def on(host: int, *symbols: str) -> set[str]:
        listing = VenueListing(0, "u", tuple(Instrument(s.upper(), s) for s in symbols))
        [source] = sourced(tmp_path, f"{host}/4", text_of(["*@aggTrade"]), binance=listing)
        return {channel for plan in source.plans for channel in plan.channels}

    before = [on(host, *"abcdefgh") for host in (1, 2, 3, 4)]
    after = [on(host, *"abcdefghi") for host in (1, 2, 3, 4)]
    assert sum(len(some) for some in before) == 8
    assert [new - old for old, new in zip(before, after, strict=True) if new != old] == [
        {"i@aggTrade"}
    ]
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_a_share_waits_for_the_venue_s_list_as_all_do(tmp_path: Path) -> None:
    [source] = sourced(tmp_path, "2/4", text_of(["*@aggTrade"]))
    assert source.places == [] and source.unmatched and not source.elsewhere


@pytest.mark.parametrize(
    "text",
    [
        '[feeds.mine]\nkind = "generic"\nurl = "ws://127.0.0.1:1"\nsubscribe = ["a", "b"]\n',
        '[feeds.mine]\nkind = "cryptolisting"\nchannels = ["announcements", "test"]\n',
        '[feeds.mine]\nkind = "treeofalpha"\n',
    ],
)
def test_what_cannot_be_divided_is_whole_on_one_host(tmp_path: Path, text: str) -> None:
    found = [sourced(tmp_path, f"{host}/5", text)[0] for host in range(1, 6)]
    [there] = [source for source in found if source.places]
    assert [source.elsewhere for source in found].count(True) == 4
    (alone,) = sources(load(_plain(tmp_path, text)), {"mine": "k"})
    assert [plan.hello for plan in there.plans] == [plan.hello for plan in alone.plans]
    assert [plan.urls for plan in there.plans] == [plan.urls for plan in alone.plans]


def _plain(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(text, "utf-8")
    return path


def test_default_channels_are_shared_out_too(tmp_path: Path) -> None:
    found = [sourced(tmp_path, f"{host}/3", "[feeds.binance]\n")[0] for host in (1, 2, 3)]
    kept = [channel for source in found for plan in source.plans for channel in plan.channels]
    [whole] = sources(load(_plain(tmp_path, "[feeds.binance]\n")), {})
    assert sorted(kept) == sorted(channel for plan in whole.plans for channel in plan.channels)


def test_two_lines_on_one_host_are_refused_and_it_is_said_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two would be on one host") as caught:
        sourced(tmp_path, "1/1", text_of(CHANNELS, lines=2))
    assert caught.value.where == "feeds.binance.lines"
    assert "leave --shard" in caught.value.hint


def test_a_wrong_channel_is_refused_on_every_host(tmp_path: Path) -> None:
    for host in (1, 2, 3):
        with pytest.raises(ConfigError, match="not a channel of this service"):
            sourced(tmp_path, f"{host}/3", text_of([*CHANNELS, "nonsense"]))


def test_the_share_comes_from_a_variable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDER_CAPTURE__SHARD", "2/4")
    assert load(_plain(tmp_path, text_of(CHANNELS))).capture.shard == "2/4"
    monkeypatch.setenv("RECORDER_CAPTURE__SHARD", "9/8")
    with pytest.raises(ConfigError, match="hosts count from 1 to 8") as caught:
        load(_plain(tmp_path, text_of(CHANNELS)))
    assert caught.value.where == "RECORDER_CAPTURE__SHARD"


# -- captures


async def say(peer: Peer) -> None:
    """Tell a client what it asked for, again and again."""
    await peer.accept()
    number = 0
    while peer.closed is None:
        asked = b" ".join(peer.heard)
        await peer.send(("text", b"%d: %s" % (number, asked)))
        number += 1
        await asyncio.sleep(0.01)


FEED = {"kind": "subscribing", "channels": [f"x:{n}" for n in range(12)], "lines": 2}


def subscribed(peers: list[Peer]) -> Counter[str]:
    return Counter(text.decode().removeprefix("subscribe ") for p in peers for text in p.heard)


@pytest.mark.process
async def test_two_hosts_record_each_channel_on_two_lines(tmp_path: Path) -> None:
    env = install(tmp_path / "site")
    async with serving(say, connections=4) as server, contextlib.AsyncExitStack() as stack:
        feeds = {"mine": FEED | {"url": server.url}}
        children: list[Child] = [
            await stack.enter_async_context(
                capturing(tmp_path / f"host{n}", feeds, "--shard", f"{n}/2", env=env)
            )
            for n in (1, 2)
        ]
        await eventually(lambda: sum(subscribed(server.peers).values()) == 24, 60)
        await eventually(lambda: all(len(peer.sent) > 3 for peer in server.peers), 60)
        for child in children:
            assert await child.stopped() == 0, child.said
    assert subscribed(server.peers) == Counter(dict.fromkeys(FEED["channels"], 2))
    found = [
        (host, marker(frames[0])["group"], marker(frames[0])["line"])
        for host in (1, 2)
        for frames in recorded(tmp_path / f"host{host}", "mine")
    ]
    assert sorted(found) == [
        (1, "x 1/2", "A"), (1, "x 2/2", "B"), (2, "x 1/2", "B"), (2, "x 2/2", "A")
    ]  # fmt: skip


@pytest.mark.process
async def test_a_reload_follows_another_share_and_a_feed_that_comes_to_this_host(
    tmp_path: Path,
) -> None:
    """With one host the feed is here; as the first of so many that it is elsewhere, it is not."""
    many = next(of for of in range(2, 100) if slice_of("mine", "", of) != 1)
    env, data = install(tmp_path / "site"), tmp_path / "data"
    async with serving(say) as server:
        feeds: dict[str, dict[str, Any]] = {"mine": {"url": server.url}}
        settings = tmp_path / "data.toml"
        async with capturing(data, feeds, env=env, shard=f"1/{many}") as child:
            await eventually(lambda: "not recorded here" in child.said, 60)
            assert f"none of its channels is in the share 1/{many}" in child.said
            write_settings(settings, feeds, {"shard": "1/1"})
            child.signal(1)
            await eventually(lambda: server.peers and len(server.peers[0].sent) > 3, 60)
            assert "need a restart" not in child.said
            assert await child.stopped() == 0, child.said
    [frames] = recorded(data, "mine")
    assert marker(frames[0])["group"] == "all 1/1"


@pytest.mark.process
async def test_a_host_without_a_share_of_anything_is_no_failure(tmp_path: Path) -> None:
    many = next(of for of in range(2, 100) if slice_of("mine", "", of) != 1)
    feeds = {"mine": {"url": "ws://127.0.0.1:9"}}
    arguments = ("--shard", f"1/{many}", "--duration", "1", "--connect-timeout", "0.5")
    async with capturing(tmp_path / "data", feeds, *arguments) as child:
        assert await child.ended() == 0, child.said
    assert child.said.count("not recorded here") == 1
    assert Layout(tmp_path / "data").feeds() == []


@pytest.mark.process
@pytest.mark.parametrize("shard", ["0/8", "9/8", "x"])
async def test_a_wrong_share_is_a_usage_error_with_an_example(tmp_path: Path, shard: str) -> None:
    feeds = {"mine": {"url": "ws://127.0.0.1:9"}}
    async with capturing(tmp_path / "data", feeds, "--shard", shard) as child:
        assert await child.ended() == 2
    assert "for example 3/8" in child.said and "--shard" in child.said
