"""Notices of exchanges that are polled end as listings, each once, column by column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.frames import MS, T0, frames_of, marker
from kit.records import Record

from recorder.clock import NS, ulid
from recorder.errors import ConfigError
from recorder.feed import Options
from recorder.feeds import feed
from recorder.frame import Frame

COLUMNS = ("exchange", "ticker", "listing_type", "publish_ns", "url", "seq", "item", "backfill")
PENGU = {
    "categories": ["안내"],
    "title": "[마켓 추가] 펏지펭귄(PENGU) 원화 마켓 추가",
    "pc_url": "https://feed.bithumb.com/notice/1",
    "published_at": "2026-09-21 23:13:25",  # 14:13:25 UTC, 5 s after T0
}
OLD = {**PENGU, "title": "[마켓 추가] 리도(LDO) 원화 마켓 추가",
       "pc_url": "https://feed.bithumb.com/notice/0",
       "published_at": "2026-09-21 10:00:00"}  # fmt: skip
HOUR = 3600 * NS
LATER = T0 // MS + 1
OTHERS: dict[str, object] = {
    "kucoin": {"code": "200000", "data": {"items": [
        {"annId": 1, "annTitle": "Foo (FOO) Gets Listed on KuCoin!", "annUrl": "https://x/1",
         "annType": ["new-listings"], "cTime": LATER}]}},
    "bybit": {"retCode": 0, "result": {"total": 1, "list": [
        {"title": "New Listing: FOO/USDT on Spot", "type": {"key": "new_crypto"},
         "url": "https://x/1", "publishTime": LATER}]}},
    "bitget": {"code": "00000", "data": [
        {"annId": "1", "annTitle": "Bitget Will List Foo (FOO)", "annUrl": "https://x/1",
         "cTime": str(LATER)}]},
}  # fmt: skip
#: One of each kind, to be changed at random.
FRAMES = [json.dumps(body) for body in ([PENGU, OLD], *OTHERS.values())]


def _of(channel: str, number: int, *bodies: object) -> list[Frame]:
    name = ulid(T0, bytes([number] * 10))
    texts = [json.dumps(body, ensure_ascii=False) for body in bodies]
    opened = marker(0, "open", T0, name, line="A", group=channel, every=5)
    times = [T0 + 10 * NS * n for n, _ in enumerate(bodies)]
    polled = frames_of(texts, kind="polled", first_seq=1, recv_ns=times, connection=name)
    return [opened, *polled]


def test_a_korean_notice_is_a_row_once_and_its_time_is_korea_s(tmp_path: Path) -> None:
    record = Record(tmp_path)
    frames = _of("bithumb", 1, [OLD], [PENGU, OLD], [PENGU])
    record.take("notices", frames[:3])
    record.take("notices", frames[3:])  # another batch repeats what the first one had
    url = "https://feed.bithumb.com/notice/"
    assert record.rows("listings", *COLUMNS) == [
        ("bithumb", "LDO", "spot_listing", T0 - T0 % (24 * HOUR) + HOUR, f"{url}0", 1, 0, True),
        ("bithumb", "PENGU", "spot_listing", T0 + 5 * NS, f"{url}1", 2, 0, False),
    ]
    assert record.sql("SELECT count(*) FROM rejects") == [(0,)]


@pytest.mark.parametrize(("channel", "body"), OTHERS.items())
def test_notices_of_other_exchanges_are_rows_too(
    tmp_path: Path, channel: str, body: object
) -> None:
    record = Record(tmp_path)
    record.take("notices", _of(channel, 1, body))
    [(exchange, ticker, _, *rest)] = record.rows("listings", *COLUMNS)
    assert (exchange, ticker) == (channel, "FOO")
    assert rest == [T0 + MS, "https://x/1", 1, 0, False]


def test_an_answer_without_a_list_is_rejected(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.take("notices", _of("bithumb", 1, {"error": "x"}))
    assert record.sql("SELECT reason FROM rejects") == [
        ("an answer without a list of notices that have titles",)
    ]


def test_each_exchange_is_a_group_of_its_own() -> None:
    plans = feed("notices").plan(Options("notices"))
    assert [(plan.group, plan.every) for plan in plans] == [
        ("bithumb", 5.0), ("kucoin", 5.0), ("bybit", 5.0), ("bitget", 5.0),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="not a channel"):
        feed("notices").plan(Options("notices", channels=("upbit",)))
