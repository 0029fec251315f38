"""The venues' lists of instruments: asked for, kept, put in the place of `*`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.capture.catalogue import (
    Reach,
    VenueListing,
    expand,
    fetch,
    keep,
    kept,
    names_of,
)
from recorder.errors import CatalogueError
from recorder.feed import Ask, Catalogue, Instrument

Answer = tuple[int, bytes]


class Venue:
    """A REST interface that answers as scripted, the last answer for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []
        self.base = ""

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        self.asked.append((method, path, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(venue: Venue) -> Iterator[Venue]:
    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            status, body = venue.answer(self.command, self.path, self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        venue.base = f"http://127.0.0.1:{server.server_port}"
        try:
            yield venue
        finally:
            server.shutdown()
            thread.join()


def read(body: bytes) -> tuple[list[Instrument], Ask | None]:
    """The list of a made-up venue: pages of symbols."""
    told = json.loads(body)
    more = told.get("next")
    following = Ask(f"https://venue.example/list?page={more}") if more else None
    return [Instrument(symbol, symbol.lower(), 10.0, "usd") for symbol in told["list"]], following


CATALOGUE = Catalogue((Ask("https://venue.example/list"),), read)


def page(*symbols: str, following: str = "") -> Answer:
    return 200, json.dumps({"list": symbols, "next": following}).encode()


@pytest.mark.process
def test_all_pages_are_fetched_from_where_the_user_says() -> None:
    with serving(Venue(page("A", "B", following="2"), page("B", "C"))) as venue:
        listing = fetch(CATALOGUE, 7, Reach(venue.base))
    assert [i.symbol for i in listing.instruments] == ["A", "B", "C"]
    assert names_of(listing) == ["a", "b", "c"]
    assert (listing.fetched_ns, listing.url) == (7, "https://venue.example/list")
    assert [(method, path) for method, path, _ in venue.asked] == [
        ("GET", "/list"),
        ("GET", "/list?page=2"),
    ]


@pytest.mark.process
def test_a_question_with_a_body_is_posted() -> None:
    catalogue = Catalogue((Ask("https://venue.example/info", '{"type":"meta"}'),), read)
    with serving(Venue(page("A"))) as venue:
        fetch(catalogue, 0, Reach(f"{venue.base}/proxied/"))
    assert venue.asked == [("POST", "/proxied/info", b'{"type":"meta"}')]


@pytest.mark.process
def test_an_answer_may_complete_what_others_list() -> None:
    def intervals(body: bytes) -> tuple[list[Instrument], Ask | None]:
        told = json.loads(body)
        if isinstance(told, dict):
            return read(body)
        return [Instrument(symbol, symbol, None, None, 4.0) for symbol in told], None

    asks = (Ask("https://venue.example/list"), Ask("https://venue.example/hours", completes=True))
    with serving(Venue(page("A", "B"), (200, b'["B", "GONE"]'))) as venue:
        listing = fetch(Catalogue(asks, intervals), 0, Reach(venue.base))
    assert listing.instruments == (
        Instrument("A", "a", 10.0, "usd"),
        Instrument("B", "b", 10.0, "usd", 4.0),
    )


@pytest.mark.process
def test_trouble_that_passes_is_sat_out() -> None:
    with serving(Venue((503, b""), (429, b"slow down"), page("A"))) as venue:
        assert len(fetch(CATALOGUE, 0, Reach(venue.base)).instruments) == 1


@pytest.mark.process
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((500, b""), "HTTP 500"),
        ((404, b"nothing here"), "HTTP 404"),
        ((200, b"<html>maintenance"), "not a list of instruments"),
        ((200, b'{"list": 5}'), "not a list of instruments"),
        (page(), "the list of instruments is empty"),
    ],
)
def test_trouble_that_stays_is_an_error_that_names_the_place(answer: Answer, says: str) -> None:
    with serving(Venue(answer)) as venue, pytest.raises(CatalogueError, match=says) as caught:
        fetch(CATALOGUE, 0, Reach(venue.base))
    assert "/list" in caught.value.where


@pytest.mark.process
def test_no_server_at_all_is_an_error() -> None:
    with serving(Venue(page("A"))) as venue:
        pass
    with pytest.raises(CatalogueError, match="no answer"):
        fetch(CATALOGUE, 0, Reach(venue.base))


@pytest.mark.process
def test_pages_without_end_end() -> None:
    with serving(Venue(page("A", following="again"))) as venue:
        assert len(fetch(CATALOGUE, 0, Reach(venue.base)).instruments) == 1
    assert len(venue.asked) == 100


def test_the_last_list_is_kept_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "instruments" / "venue.json"
    assert kept(path) is None
    listing = VenueListing(
        5, "https://venue.example/list", (Instrument("A", "a", None, None, 8.0),)
    )
    keep(path, listing)
    assert kept(path) == listing
    path.write_bytes(path.read_bytes()[:-3])
    assert kept(path) is None


NAMES = ["BTCUSDT", "ETHUSDT", "BTCUSDC", "1000PEPEUSDT"]


@pytest.mark.parametrize(
    ("pattern", "names", "becomes"),
    [
        ("allLiquidation.*USDT", NAMES, ["1000PEPEUSDT", "BTCUSDT", "ETHUSDT"]),
        ("allLiquidation.BTC*", NAMES, ["BTCUSDC", "BTCUSDT"]),
        ("allLiquidation.*", NAMES, sorted(NAMES)),
        ("allLiquidation.*PEPE*", NAMES, ["1000PEPEUSDT"]),
    ],
)
def test_a_star_stands_for_the_venue_s_names(
    pattern: str, names: list[str], becomes: list[str]
) -> None:
    assert expand([pattern], names) == ([f"allLiquidation.{name}" for name in becomes], [])


def test_a_star_stands_between_the_marks_of_a_channel() -> None:
    perpetuals = ["BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-27NOV26"]
    assert expand(["trades.*-PERPETUAL.100ms"], perpetuals)[0] == [
        "trades.BTC-PERPETUAL.100ms",
        "trades.ETH-PERPETUAL.100ms",
    ]
    assert expand(["*USDT@aggTrade"], ["btcusdt", "ethbtc"])[0] == ["btcusdt@aggTrade"]


def test_what_matches_nothing_is_named_and_plain_channels_stay() -> None:
    assert expand(["plain.X", "t.*ZZZ", "t.[a-z]*", "plain.X"], NAMES) == (
        ["plain.X"],
        ["t.*ZZZ", "t.[a-z]*"],
    )


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), unique=True))
def test_a_lone_star_stands_for_every_name(names: list[str]) -> None:
    assert sorted(expand(["t.*"], names)[0]) == sorted(f"t.{name}" for name in names)


def test_a_pattern_stands_for_the_owner_that_it_names() -> None:
    names = ["BTC", "ETH", "xyz:GOLD", "xyz:TSLA", "flx:GOLD"]
    assert expand(["trades:*"], names) == (["trades:BTC", "trades:ETH"], [])
    assert expand(["trades:xyz:*"], names) == (["trades:xyz:GOLD", "trades:xyz:TSLA"], [])
    assert expand(["trades:flx:G*", "trades:abc:*"], names) == (
        ["trades:flx:GOLD"],
        ["trades:abc:*"],
    )
