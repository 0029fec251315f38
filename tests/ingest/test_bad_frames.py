"""No frame of any content stops ingest; what is no event is in `rejects`, with a reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from kit.frames import MS, T0, frames_of, table
from kit.records import Record
from kit.rows import Bench

from recorder.schema.tables import TABLES
from recorder.tables import batch, normalise

from .test_binance_rows import AGG_TRADE, MARK_PRICE, SELL
from .test_cryptolisting_rows import NEW, THREE
from .test_smartmoney_rows import flat

WHALE = flat("whale_update", {"wallet": "0x1", "asset": "BTC", "size_usd": 5})
GOOD = {"binance": SELL, "cryptolisting": NEW, "smartmoney": WHALE}
TABLE = {"binance": "liquidations", "cryptolisting": "listings", "smartmoney": "whales"}

#: What no feed can use, whatever its protocol.
USELESS = {
    b"": "an empty frame",
    b"   ": "not JSON",
    b"{": "not JSON",
    b'{"type":"announcement",': "not JSON",
    b"pong": "not JSON",
    b'{"type":"a"} {"type":"b"}': "not JSON",
    b"{'type':'announcement'}": "not JSON",
    b"\xef\xbb\xbf{}": "not JSON",
    b"\xff\xfe{\x00}\x00": "not UTF-8 text",
    b'{"type":"\xed\xa0\x80"}': "not UTF-8 text",
    b'{"type":"whale_update","wallet":"\xc3("}': "not UTF-8 text",
    b"\x00": "not JSON",
    b'{"type":"a\x00b"}': "not JSON",
    rb'{"type":"\ud800"}': "not JSON",
    rb'{"e":"\udfff\ud800","E":1}': "not JSON",
    b"null": "JSON, but not an object: null",
    b"true": "JSON, but not an object: boolean",
    b"12": "JSON, but not an object: ",
    b"1e400": "JSON, but not an object: ",
    b"NaN": "JSON, but not an object: ",
    b'"announcement"': "JSON, but not an object: varchar",
    b"{}": "a message without ",
    b'{"TYPE":"announcement","Type":"signal"}': "a message without ",
    b'{"data":"{\\"e\\":\\"forceOrder\\"}"}': "a message without ",
    b'{"data":"not JSON at all"}': "a message without ",
    b'{"stream":7,"data":null,"payload":[1]}': "a message without ",
    b'{"":{"":[]}}': "a message without ",
    b'{"x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}": "a message without ",
    b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}": "a message without ",
}


@pytest.mark.parametrize("feed", GOOD)
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_what_is_no_message_is_rejected_with_a_reason_and_all_its_bytes(
    bench: Bench, feed: str, kind: str
) -> None:
    bench.take(feed, frames_of([*USELESS, GOOD[feed]], kind=kind))
    found = bench.rows("rejects", "seq", "item", "reason", "payload")
    assert [(seq, item, payload) for seq, item, _, payload in found] == [
        (seq, 0, payload) for seq, payload in enumerate(USELESS)
    ]
    for (_, _, reason, payload), expected in zip(found, USELESS.values(), strict=True):
        assert reason.startswith(expected), payload
    assert bench.rows(TABLE[feed], "seq") == [(len(USELESS),)]


@pytest.mark.parametrize("opening", [b"[" * 5_000 + b"]" * 5_000, b"[1,[2],null,{}]"])
def test_an_array_is_rejected_once(bench: Bench, opening: bytes) -> None:
    for feed in GOOD:
        bench.take(feed, frames_of([opening]))
        assert [seq for (seq,) in bench.rows("rejects", "seq")] == [0]


@dataclass(frozen=True)
class Odd:
    """A frame that is half right: where it ends, and what its row says."""

    feed: str
    payload: str
    place: str
    columns: str = "seq"
    row: tuple[object, ...] | None = None


def crypto(**changed: object) -> str:
    return json.dumps({**json.loads(THREE), **changed})


def smart(kind: str, **fields: object) -> str:
    return flat(kind, fields)


def price(old: str, new: str) -> str:
    assert old in MARK_PRICE
    return MARK_PRICE.replace(old, new)


PUBLISHED_US = 1710345000000000
TIMES = "publish_ns, event_ns"
NUMBERS = "price, notional_usd"
ODD = {
    "time 0": Odd("cryptolisting", crypto(publishTimestampUs=0), "listings", TIMES, (None, None)),
    "time in ms": Odd(
        "cryptolisting",
        crypto(publishTimestampUs=PUBLISHED_US // 1000),
        "listings",
        TIMES,
        (None, None),
    ),
    "time in ns": Odd(
        "cryptolisting",
        crypto(publishTimestampUs=PUBLISHED_US * 1000),
        "listings",
        TIMES,
        (None, None),
    ),
    "time below 0": Odd(
        "cryptolisting", crypto(publishTimestampUs=-1), "listings", TIMES, (None, None)
    ),
    "time beyond 64 bits": Odd(
        "cryptolisting", crypto(publishTimestampUs=10**30), "listings", TIMES, (None, None)
    ),
    "time as text": Odd(
        "cryptolisting",
        crypto(publishTimestampUs=str(PUBLISHED_US)),
        "listings",
        TIMES,
        (PUBLISHED_US * 1000,) * 2,
    ),
    "time as list": Odd(
        "cryptolisting", crypto(publishTimestampUs=[1]), "listings", TIMES, (None, None)
    ),
    "title of NUL and an astral character": Odd(
        "cryptolisting", crypto(title="a\0b\U0001f600"), "listings", "title", ("a\0b\U0001f600",)
    ),
    "5 MB title": Odd(
        "cryptolisting", crypto(title="x" * 5_000_000), "listings", "length(title)", (5_000_000,)
    ),
    "duplicate keys": Odd(
        "cryptolisting", NEW[:-1] + ',"title":"second"}', "listings", "ticker", ("TOKEN",)
    ),
    "ticker as list": Odd("cryptolisting", crypto(ticker=["A", "B"]), "rejects"),
    "title as object": Odd("cryptolisting", crypto(title={"en": "x"}), "rejects"),
    "a million tickers": Odd("cryptolisting", crypto(ticker="A," * 1_000_000), "rejects"),
    "type as list": Odd("cryptolisting", crypto(type=["announcement"]), "rejects"),
    "5 MB type": Odd("cryptolisting", crypto(type="y" * 5_000_000), "rejects"),
    "publisher as number": Odd(
        "cryptolisting", crypto(publisher=5), "listings", "publisher, exchange", ("5", "5")
    ),
    "NaN": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price=float("nan"), size_usd=float("inf")),
        "liquidations",
        NUMBERS,
        (None, None),
    ),
    "1e400": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC").replace("}", ',"price":1e400,"size_usd":-1e400}'),
        "liquidations",
        NUMBERS,
        (None, None),
    ),
    "empty and absent": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price=""),
        "liquidations",
        f"{NUMBERS}, quantity, quantity_unit, price_kind, position_side, event_ns",
        (None,) * 7,
    ),
    "words and booleans": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price="much", size_usd=True),
        "liquidations",
        NUMBERS,
        (None, None),
    ),
    "huge integer": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price=10**40, size_usd=10**300),
        "liquidations",
        NUMBERS,
        (1e40, 1e300),
    ),
    "objects for numbers": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price={"value": 1}, size_usd=[2]),
        "liquidations",
        NUMBERS,
        (None, None),
    ),
    "zero stays zero": Odd(
        "smartmoney",
        smart("liquidation", symbol="BTC", price=0, size_usd="0.0"),
        "liquidations",
        NUMBERS,
        (0.0, 0.0),
    ),
    "payload as list": Odd(
        "smartmoney", '{"type":"whale_update","payload":[{"wallet":"0x1"}]}', "rejects"
    ),
    "payload as text": Odd(
        "smartmoney", '{"type":"whale_update","payload":"{}","wallet":"0x1"}', "whales"
    ),
    "rate of NaN": Odd(
        "smartmoney", smart("funding_rate", symbol="BTC", rate=float("nan")), "rejects"
    ),
    "null subject": Odd("smartmoney", smart("whale_update", wallet=None), "rejects"),
    "deep extra": Odd(
        "smartmoney",
        WHALE[:-1] + ',"x":' + "[" * 5_000 + "]" * 5_000 + "}",
        "whales",
        "length(extra::VARCHAR)",
        (10_006,),
    ),
    "s for ms": Odd(
        "binance", price("1791269856000", "1791269856"), "funding", "event_ns", (None,)
    ),
    "us for ms": Odd(
        "binance", price("1791269856000", "1791269856000000"), "funding", "event_ns",
        (1791269856000 * MS,),  # asked for microseconds, Binance sends them
    ),
    "number for text": Odd(
        "binance", price('"85296.60260870"', "85296.6026087"), "funding", "mark_price",
        (85296.6026087,),
    ),
    "text for number": Odd(
        "binance", price("1791269856000", '"1791269856000"'), "funding", "event_ns",
        (1791269856000 * MS,),
    ),
    "no price at all": Odd(
        "binance", '{"e":"markPriceUpdate","E":1791269856000,"s":"BTCUSDT","p":"","r":null}',
        "latency rejects",
    ),
    "order as list": Odd("binance", '{"e":"forceOrder","o":["BTCUSDT","SELL"]}', "rejects"),
    "order without a side": Odd("binance", SELL.replace('"S":"SELL",', ""), "latency rejects"),
    "side of tomorrow": Odd(
        "binance", SELL.replace("SELL", "AUTO"), "latency liquidations",
        "position_side, raw_side", (None, "AUTO"),
    ),
    "value beyond a double": Odd(
        "binance", SELL.replace('"z":"0.190"', '"z":"1e300"').replace("82651.90", "1e300"),
        "latency liquidations", "price, quantity, notional_usd", (1e300, 1e300, None),
    ),
    "unknown type without a time": Odd("binance", '{"e":"contractInfo"}', "rejects"),
    "a trade without a price": Odd("binance", AGG_TRADE.replace('"p"', '"x"'), "latency rejects"),
}  # fmt: skip


@pytest.mark.parametrize("feed", GOOD)
def test_half_right_frames_keep_what_is_right_and_nothing_null_becomes_zero(
    bench: Bench, feed: str
) -> None:
    odd = {name: o for name, o in ODD.items() if o.feed == feed}
    bench.take(feed, frames_of([o.payload for o in odd.values()]))
    places = bench.places()
    for seq, (name, o) in enumerate(odd.items()):
        beside = {"prices", "latency"} - set(o.place.split())
        ends = [name for name in places.get(seq, []) if name not in beside]
        assert ends == o.place.split(), name
        if o.row is not None:
            place = o.place.split()[-1]
            found = bench.sql(f"SELECT {o.columns} FROM {place} WHERE seq = {seq} AND item = 0")
            assert found == [o.row], name
    assert all(0 < len(reason) < 200 for (reason,) in bench.rows("rejects", "reason"))


def test_an_array_of_a_million_wrong_items_is_one_reject(bench: Bench) -> None:
    payload = '{"stream":"!markPrice@arr","data":[' + "0," * 1_000_000 + "0]}"
    bench.take("binance", frames_of([payload]))
    assert bench.rows(
        "rejects", "seq", "item", "length(reason) < 200", "octet_length(payload)"
    ) == [(0, 0, True, len(payload))]


def test_arrays_of_all_symbols_are_ingested_in_little_memory() -> None:
    item = MARK_PRICE.replace("BTCUSDT", "SYMBOL%dUSDT")
    whole = "[" + ",".join(item % n for n in range(600)) + "]"
    with duckdb.connect(config={"memory_limit": "400MB", "temp_directory": ""}) as db:
        for made in TABLES.values():
            db.execute(made.ddl)
        batch.prepare(db)
        db.register("fresh", table(frames_of([whole] * 30)))
        normalise.apply(db, normalise.load("binance"), "binance", whale_usd=1e5)
        assert db.execute("SELECT count(*) FROM funding").fetchall() == [(30 * 600,)]


# -- a frame that breaks the SQL itself

FRAGILE = """
-- step: messages
SELECT *, CASE WHEN json IS NOT NULL THEN 'event' END AS class, NULL AS reason,
    CAST(json_extract_string(json, '$.score') AS DOUBLE) AS score
FROM frames;

-- table: signals
SELECT id.*, 0 AS item, 'all' AS channel, score FROM messages WHERE class = 'event';
"""


def fragile(directory: Path, text: str) -> Path:
    """A feed's SQL as a plug-in has it: a file of its own."""
    path = directory / "fragile.sql"
    path.write_text(text)
    return path


def test_only_the_frame_that_breaks_a_feeds_sql_is_rejected(record: Record, tmp_path: Path) -> None:
    payloads = [f'{{"score":{n}}}' for n in range(40)]
    payloads[7], payloads[8], payloads[39] = '{"score":"high"}', "no JSON", '{"score":[]}'
    record.seal("fragile", frames_of(payloads))
    record.seal("other", frames_of(['{"score":1}'], recv_ns=T0 + MS))
    assert record.ingest(sql=fragile(tmp_path, FRAGILE)) == 41
    assert record.rows("rejects", "seq", "reason") == [
        (7, "a frame that breaks this feed's SQL"),
        (8, "not JSON"),
        (39, "a frame that breaks this feed's SQL"),
    ]
    assert len(record.rows("signals", "score")) == 37 + 1
    assert record.warnings == ["2 frames of 'fragile' break its SQL; they are in rejects"]
    assert record.sql("SELECT frames FROM connections WHERE feed = 'fragile'") == [(40,)]
    assert record.ingest(sql=fragile(tmp_path, FRAGILE)) == 0


def test_sql_that_fails_on_every_frame_is_named_and_the_other_feeds_go_on(
    record: Record, tmp_path: Path
) -> None:
    record.seal("fragile", frames_of(['{"score":"high"}'] * 200))
    record.seal("other", frames_of(['{"score":1}'], recv_ns=T0 + MS))
    assert record.ingest(sql=fragile(tmp_path, FRAGILE)) == 1
    assert record.rows("rejects", "seq") == []
    assert len(record.rows("signals", "score")) == 1
    [warning] = record.warnings
    assert "fails on frame after frame" in warning and "normalises 'fragile'" in warning
    (tmp_path / "mended").mkdir()
    mended = fragile(tmp_path / "mended", FRAGILE.replace("CAST(", "TRY_CAST("))
    assert record.ingest(sql=mended) == 200


def test_sql_that_is_wrong_in_itself_is_named_and_rejects_nothing(
    record: Record, tmp_path: Path
) -> None:
    record.seal("fragile", frames_of(['{"score":1}']))
    wrong = fragile(tmp_path, FRAGILE.replace("score FROM messages", "scroe FROM messages"))
    assert record.ingest(sql=wrong) == 0
    assert len(record.warnings) == 1
    assert "scroe" in record.warnings[0] and "'fragile'" in record.warnings[0]
    assert record.rows("rejects", "seq") == []


def test_after_the_sql_is_mended_the_frames_left_out_are_ingested(
    record: Record, tmp_path: Path
) -> None:
    record.seal("fragile", frames_of(['{"score":1}']))
    (tmp_path / "wrong").mkdir()
    record.ingest(sql=fragile(tmp_path / "wrong", FRAGILE.replace("score FROM", "scroe FROM")))
    assert record.ingest(sql=fragile(tmp_path, FRAGILE)) == 1
    assert record.rows("signals", "score") == [(1.0,)]
