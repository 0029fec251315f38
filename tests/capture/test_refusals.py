"""A refusal is not an end: what a 403 at a reconnect does to feeds that live."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kit.captures import Story, capturing, eventually, marker, recorded, tell
from kit.servers import Peer, serving

from recorder.feeds import KINDS, feed

pytestmark = pytest.mark.process

#: Two groups of channels each, where a feed has groups: one is refused, the other lives.
CHANNELS = {
    "binance": ["btcusdt@aggTrade", "!forceOrder@arr"],
    "bybit": ["publicTrade.BTCUSDT", "allLiquidation.BTCUSDT"],
    "okx": ["trades:BTC-USDT-SWAP", "liquidation-orders:SWAP"],
    "deribit": ["trades.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.100ms"],
    "hyperliquid": ["trades:BTC", "activeAssetCtx:BTC"],
    "bitmex": ["trade:XBTUSD", "liquidation"],
    "htx": ["market.BTC-USDT.trade.detail", "market.BTC-USDT.index.1min"],
    "gate": ["futures.trades:BTC_USDT", "futures.tickers:BTC_USDT"],
    "bitget": ["publicTrade.usdt-futures.BTCUSDT", "ticker.usdt-futures.BTCUSDT"],
}
KEYLESS = [kind for kind in KINDS if feed(kind).key_help is None]


def test_every_keyless_feed_with_groups_is_here() -> None:
    assert set(KEYLESS) == {*CHANNELS, "generic", "treeofalpha", "notices"}


async def _closed_then_refused_once(peer: Peer) -> None:
    """Close the first connection; answer the first reconnect with 403; keep what lives."""
    number = peer.number
    if number == 2:
        await peer.refuse(403, b"<html><h1>403 Forbidden</h1></html>", Content_Type="text/html")
        return
    await peer.accept()
    await peer.send(("text", b"{}"))
    if number == 0:
        await asyncio.sleep(0.5)
        await peer.close(1001, "going away")


async def _alone(peer: Peer) -> None:
    """The same with one connection at a time."""
    if peer.number == 1:
        await peer.refuse(403)
        return
    await peer.accept()
    await peer.send(("text", b"{}"))
    if peer.number == 0:
        await peer.close(1001, "going away")


async def test_one_403_at_a_reconnect_ends_no_keyless_feed(tmp_path: Path) -> None:
    stories = {
        kind: Story(_closed_then_refused_once, 3, {"kind": kind, "channels": channels})
        for kind, channels in CHANNELS.items()
    }
    stories |= {kind: Story(_alone, 2, {"kind": kind}) for kind in ("generic", "treeofalpha")}
    outcome = await tell(tmp_path / "data", stories)
    assert outcome.code == 0, outcome.said
    assert "gave up" not in outcome.said
    for kind, told in outcome.stories.items():
        ends = [marker(frames[-1]) for frames in told.connections]
        refused = [end for end in ends if end["code"] == 403]
        assert len(refused) == 1 and refused[0]["exit_code"] is None, kind
        if kind in CHANNELS:  # the connection that lived was closed by the end of the test alone
            assert [end["reason"] for end in ends].count("stopping") == 1, kind


async def test_a_dead_key_ends_and_closes_nothing_that_lives(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.refuse(403, b'{"error":"invalid_api_key"}')
            return
        await peer.accept()
        await peer.send(("text", b"{}"))

    data = tmp_path / "data"
    async with serving(script, 2) as server:
        settings = {"kind": "cryptolisting", "url": server.url, "lines": 2}
        env = {"RECORDER_MINE_KEY": "dsk_" + "0" * 64}
        async with capturing(data, {"mine": settings}, env=env) as child:
            await eventually(lambda: "gave up" in child.said)
            await server.peers[0].send(("text", b"{}"))  # it lives
            await asyncio.sleep(0.2)
            await server.peers[0].close(1001, "going away")
            assert await child.ended() == 4
        assert len(server.peers) == 2  # the key is dead: no other attempt
    assert "credentials refused (HTTP 403)" in child.said
    ends = [marker(frames[-1]) for frames in recorded(data, "mine")]
    assert sorted(str(end["exit_code"]) for end in ends) == ["4", "None"]
    assert any(frame.kind == "text" for frames in recorded(data, "mine") for frame in frames)


async def test_a_line_that_gave_up_is_revived_if_it_is_asked_for(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.refuse(503)
            return
        await peer.accept()
        await peer.send(("text", b"{}"))

    async with serving(script, 2) as server:
        feeds = {"mine": {"url": server.url, "max_retries": 0}}
        async with capturing(tmp_path / "data", feeds, "--revive", "0.2") as child:
            await asyncio.wait_for(server.done.wait(), 15)
            assert await child.stopped() == 0, child.said
    assert "gave up" in child.said and "starts again later" in child.said
