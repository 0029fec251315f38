"""What cryptolisting.ws sends ends as the right rows, column by column."""

from __future__ import annotations

from typing import Any

from kit.frames import CONNECTION, MS, US, frames_of
from kit.recordings import lines
from kit.rows import Bench

WELCOME = (
    '{"type":"welcome","tier":"premium","maxDistinctIps":2,"maxConnectionsPerIp":5,'
    '"absoluteMaxConnections":20,"allowedCex":"*","expiresInSecs":2592000}'
)
NEW = (
    '{"type":"announcement","title":"Binance Will List TOKEN (TOKEN)","ticker":"TOKEN",'
    '"publisher":"binance","listingType":"spot_listing","detectedTimestampUs":1710345000005000,'
    '"dispatchTimestampUs":1710345000006000,"abnormalDetectionLatency":false}'
)
HEARTBEAT = (
    '{"type":"heartbeat","timestampNs":1710345030123456789,"timeUtc":"2026-04-17T08:30:30.123456Z"}'
)
ERROR = '{"type":"error","code":"test_rate_limited","retryAfterSecs":42}'
THREE = (
    '{"type":"announcement","title":"Binance Will List ABC, DEF and GHI","ticker":"ABC,DEF,GHI",'
    '"publisher":"binance","listingType":"spot_listing","publishTimestampUs":1710345000000000,'
    '"detectedTimestampUs":1710345000005000,"dispatchTimestampUs":1710345000006000}'
)
TEST = NEW.replace('"announcement"', '"test_announcement"').replace('"TOKEN"', '"DUMMYTOKEN"')
FREE = NEW.replace('"ticker":"TOKEN"', '"ticker":""').replace("Binance Will List", "Upgrade:")

#: One of each kind, to be changed at random.
FRAMES = [ERROR, FREE, HEARTBEAT, NEW, TEST, THREE, WELCOME]

PUBLISHED, DETECTED, DISPATCHED = (
    1710345000000000 * US,
    1710345000005000 * US,
    1710345000006000 * US,
)
RECEIVED = DISPATCHED + 30 * MS

LISTING = (
    "channel", "exchange", "symbol", "event_ns", "connection", "seq", "item", "publisher",
    "ticker", "listing_type", "title", "url", "publish_ns", "detected_ns", "dispatch_ns",
    "abnormal_latency", "extra",
)  # fmt: skip
LATENCY = (
    "channel", "exchange", "seq", "item", "publish_ns", "event_ns", "detected_ns", "dispatch_ns",
    "total_ns", "network_ns", "backfill",
)  # fmt: skip


def listing(  # noqa: PLR0917
    seq: int,
    item: int,
    ticker: str | None,
    title: str,
    publish_ns: int | None,
    abnormal: bool | None,
) -> tuple[Any, ...]:
    return (
        *("announcements", "binance", ticker, publish_ns, CONNECTION, seq, item),
        *("binance", ticker, "spot_listing", title, None, publish_ns, DETECTED, DISPATCHED),
        *(abnormal, None),
    )


def ingested(bench: Bench, *payloads: str | bytes) -> None:
    """Ingest the frames; on the wire every one is binary."""
    times = [RECEIVED + i for i in range(len(payloads))]
    bench.take("cryptolisting", frames_of(payloads, kind="binary", recv_ns=times))


def test_the_new_schema_has_no_publish_time_and_receive_time_never_stands_in(
    bench: Bench,
) -> None:
    ingested(bench, NEW)
    title = "Binance Will List TOKEN (TOKEN)"
    assert bench.rows("listings", *LISTING) == [listing(0, 0, "TOKEN", title, None, False)]
    assert bench.rows("latency", *LATENCY) == [
        ("announcements", "binance", 0, 0, None, None, DETECTED, DISPATCHED, None, 30 * MS, False)
    ]


def test_a_comma_list_of_tickers_is_one_row_each_and_one_latency(bench: Bench) -> None:
    ingested(bench, THREE)
    title = "Binance Will List ABC, DEF and GHI"
    assert bench.rows("listings", *LISTING) == [
        listing(0, item, ticker, title, PUBLISHED, None)
        for item, ticker in enumerate(["ABC", "DEF", "GHI"])
    ]
    assert bench.rows("latency", "total_ns", "network_ns") == [(36 * MS, 30 * MS)]


def test_spaces_and_empty_places_in_the_list_are_no_tickers(bench: Bench) -> None:
    ingested(bench, THREE.replace("ABC,DEF,GHI", " ABC , ,DEF,"))
    assert bench.rows("listings", "item", "ticker") == [(0, "ABC"), (1, "DEF")]


def test_tests_heartbeats_errors_and_the_free_tiers_notice_are_no_listings(
    bench: Bench,
) -> None:
    ingested(bench, WELCOME, HEARTBEAT, ERROR, TEST, FREE, '{"type":"changelog"}')
    for name in ("listings", "rejects"):
        assert bench.rows(name, "seq") == []
    assert bench.rows("latency", "seq") == [(4,)]  # a blank announcement has times


def test_what_is_no_listing_names_no_ticker_and_is_kept(bench: Bench) -> None:
    ingested(bench, FREE.replace("spot_listing", "not_listing"))
    assert bench.rows("listings", "item", "ticker", "symbol", "listing_type") == [
        (0, None, None, "not_listing")
    ]


def test_an_announcement_whose_ticker_moved_to_another_field_is_kept(bench: Bench) -> None:
    ingested(bench, NEW.replace('"ticker":"TOKEN"', '"tickers":["TOKEN"]'))
    assert bench.rows("listings", "ticker", "title", "extra") == [
        (None, "Binance Will List TOKEN (TOKEN)", '{"tickers":["TOKEN"]}')
    ]


def test_an_announcement_without_a_title_is_kept_and_one_without_both_is_rejected(
    bench: Bench,
) -> None:
    bare = NEW.replace('"title":"Binance Will List TOKEN (TOKEN)",', "")
    ingested(bench, bare, bare.replace('"ticker":"TOKEN",', ""))
    assert bench.rows("listings", "seq", "ticker", "title") == [(0, "TOKEN", None)]
    assert bench.rows("rejects", "seq", "reason") == [
        (1, "an announcement without a title and without a ticker")
    ]


def test_fields_of_tomorrow_are_kept(bench: Bench) -> None:
    ingested(bench, NEW[:-1] + ',"url":"https://example.org/1","confidence":{"p":0.9}}')
    assert bench.rows("listings", "url", "extra") == [
        ("https://example.org/1", '{"confidence":{"p":0.9}}')
    ]


def test_numbers_as_strings_and_words_as_numbers_are_read(bench: Bench) -> None:
    odd = NEW.replace(":1710345000006000", ':"1710345000006000"').replace('"TOKEN"', "1000")
    ingested(bench, odd.replace(":false", ':"true"'))
    assert bench.rows("listings", "ticker", "dispatch_ns", "abnormal_latency") == [
        ("1000", DISPATCHED, True)
    ]


def test_a_frame_received_before_it_was_sent_has_a_negative_latency(bench: Bench) -> None:
    bench.take("cryptolisting", frames_of([THREE], recv_ns=DISPATCHED - 1_270 * MS))
    assert bench.rows("latency", "total_ns", "network_ns") == [(-1_264 * MS, -1_270 * MS)]


def test_the_documented_frames_of_both_schemas_end_as_exactly_these_rows(bench: Bench) -> None:
    new = lines("cryptolisting_docs/cryptolisting_new_schema.jsonl")
    old = lines("cryptolisting_docs/cryptolisting_old_schema.jsonl")
    ingested(bench, *new, *old)
    one, three = "Binance Will List TOKEN (TOKEN)", "Binance Will List ABC, DEF and GHI"
    assert bench.rows("listings", *LISTING) == [
        listing(1, 0, "TOKEN", one, None, False),
        listing(5, 0, "TOKEN", one, PUBLISHED, None),
        listing(6, 0, "ABC", three, PUBLISHED, None),
        listing(6, 1, "DEF", three, PUBLISHED, None),
        listing(6, 2, "GHI", three, PUBLISHED, None),
    ]
    assert bench.rows("latency", "seq") == [(1,), (5,), (6,)]
    assert bench.rows("rejects", "seq") == []
