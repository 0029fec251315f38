"""What the page does: shows what comes, holds still, filters, and executes nothing of a feed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Served
from .made import EVIL, Pump

pytestmark = pytest.mark.process

WAIT_MS = 60_000
ROWS = 250


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(served.url)
    page.locator(".tape-rows .kind-liquidations").first.wait_for()
    yield page
    context.close()
    # What the browser itself says of a connection that was lost is no fault of the page.
    assert [text for text in said if "WebSocket" not in text] == []


def listing(title: str, ticker: str) -> bytes:
    stamp = time.time_ns() // 1000
    told = {"type": "announcement", "title": title, "ticker": ticker, "publisher": "upbit"}
    told |= {"listingType": "spot_listing", "publishTimestampUs": stamp}  # type: ignore[dict-item]
    return json.dumps(told).encode()


def test_a_hostile_feed_is_plain_text_and_executes_nothing(page: Any, served: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with Pump(served.root, "cryptolisting") as pump:
        pump.put(listing(EVIL + "x" * 1_000_000, "EVIL\u202eX"))
        row = page.locator(".tape-rows .kind-listings", has_text="EVIL").first
        row.wait_for()
        text = row.text_content()
        assert "<img src=x onerror=" in text
        assert "EVIL\u2039U+202E\u203aX" in text
        assert len(text) < 1000
        row.locator("a").click()
        raw = page.locator("dialog pre").first
        raw.wait_for()
        assert "<script>" in raw.text_content()
        assert "more characters" in page.locator("dialog").text_content()
        page.keyboard.press("Escape")
        page.evaluate("location.hash = '#alerts'")
        page.locator(".notices strong", has_text="EVIL").first.wait_for()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[onerror], svg[onload], main script").count() == 0
    assert all(url.startswith((served.url, "blob:")) for url in asked)


def test_a_filter_is_in_the_address_and_shows_only_what_matches(page: Any) -> None:
    page.evaluate("location.hash = '#tape?tables=liquidations&symbol=BTC*'")
    page.wait_for_function(
        """() => {
          const rows = [...document.querySelectorAll('.tape-head + div > .tape-row')];
          return rows.length > 0 && rows.every((row) => row.classList.contains('kind-liquidations')
            && row.querySelector('.c-symbol').textContent.startsWith('BTC'));
        }"""
    )
    page.get_by_label("Symbol").fill("ETH")
    page.wait_for_function("() => location.hash.includes('symbol=ETH')")
    page.locator(".tape-rows .c-symbol", has_text="ETH").first.wait_for()


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.keyboard.press("5")
    page.wait_for_function("() => location.hash === '#market'")
    page.keyboard.press("1")
    page.keyboard.press("p")
    page.locator("#live-words", has_text="Paused").wait_for()
    top = page.locator(".tape-rows .c-time").nth(1).text_content()
    waiting = page.locator(".state", has_text="Paused")
    waiting.wait_for()
    assert page.locator(".tape-rows .c-time").nth(1).text_content() == top
    page.keyboard.press("p")
    page.locator("#live-words", has_text="Live").wait_for()
    page.keyboard.press("?")
    page.locator("dialog kbd").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("t")
    page.keyboard.press("t")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    page.reload()
    page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    page.locator(".tape-rows .c-raw a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("dialog pre").first.wait_for()
    assert page.evaluate("location.hash").startswith("#frame?feed=")


def test_it_comes_back_by_itself_and_says_since_when_it_is_stale(page: Any, served: Served) -> None:
    """A stopped server is what a sleeping laptop sees: open, and mute."""
    served.process.send_signal(signal.SIGSTOP)
    try:
        page.locator("#banner", has_text="No connection since").wait_for()
        assert "Stale since" in page.locator("#live").text_content()
    finally:
        served.process.send_signal(signal.SIGCONT)
    page.locator("#live-words", has_text="Live").wait_for()
    page.locator("#banner").wait_for(state="hidden")


_HEARD = """() => {
  window.called = [];
  window.tones = 0;
  const Real = window.Notification;
  window.Notification = class extends Real {
    constructor(title, more) { super(title, more); window.called.push([title, more.body]); }
  };
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...at) {
    window.tones += 1;
    return start.apply(this, at);
  };
}"""


def test_a_listing_calls_where_that_is_switched_on(page: Any, served: Served) -> None:
    page.context.grant_permissions(["notifications"], origin=served.url)
    page.evaluate(_HEARD)
    page.evaluate("location.hash = '#alerts'")
    with Pump(served.root, "cryptolisting") as pump:
        pump.put(listing("quiet", "QUIET"))
        page.locator(".notices strong", has_text="QUIET").first.wait_for()
        assert page.evaluate("[window.called, window.tones]") == [[], 0]  # both are off at first
        page.get_by_label("Browser notifications").check()
        page.get_by_label("Sound").check()
        page.wait_for_function("() => window.tones >= 2")  # how it sounds
        page.wait_for_timeout(1600)  # a burst is one sound
        pump.put(listing("loud\u202e", "LOUD"))
        page.wait_for_function("() => window.tones >= 4")
        called = page.wait_for_function(
            "() => window.called.find(([title]) => title === 'LOUD on upbit')"
        )
        assert "loud" in called.json_value()[1]
        assert "\u202e" not in called.json_value()[1]


def test_many_events_keep_rows_and_memory_bounded(page: Any, served: Served) -> None:
    """The short form of `python -m benchmarks.page`."""
    heap = "() => { window.gc?.(); return performance.memory.usedJSHeapSize }"
    before = page.evaluate(heap)
    served.pump.rate = 300.0
    try:
        seen = served.pump.frames
        page.locator(".state", has_text="The newest 250 events").wait_for()
        rows = page.locator(".tape-rows .tape-row")
        for _ in range(20):
            page.wait_for_timeout(500)
            assert rows.count() < 100  # those that can be seen, and a few below
        page.locator(".tape-rows").evaluate("node => node.scrollTo(0, 100)")
        page.wait_for_function(
            "most => document.querySelectorAll('.tape-rows .tape-row').length === most",
            arg=ROWS + 1,  # and the heads
        )
        page.locator("button", has_text="To the newest").click()
        page.wait_for_function(
            "() => document.querySelectorAll('.tape-rows .tape-row').length < 100"
        )
        assert served.pump.frames > seen
    finally:
        served.pump.rate = 20.0
    assert page.evaluate(heap) < before + 60_000_000
