"""Every view in light and dark, on a desk and on a phone: it fits and reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.effort import cases

from .conftest import Served
from .looks import complaints, inaccessible

pytestmark = pytest.mark.process

WAIT_MS = 60_000
SIZES = {"desk": (1440, 900), "phone": (390, 844)}

#: Each view's address, and what stands in it once it shows something.
VIEWS = {
    "tape": ("#tape", ".tape-row.kind-liquidations"),
    "connections": ("#connections", ".lines tbody tr"),
    "latency": ("#latency", ".view-latency .charts canvas"),
    "rates": ("#rates", ".view-rates canvas"),
    "market": ("#market?exchange=binance", ".view-market .charts canvas"),
    "coverage": ("#coverage", ".calendar .cover-poor"),
    "gaps": ("#coverage?feed=binance", ".calendar .cover"),
    "queries": ("#queries/latency_percentiles", ".query-result table"),
    "timeline": ("#queries/event_history?limit=40", ".query-result canvas"),
    "sql": ("#sql?q=FROM listings SELECT ticker, title, publish_ns, recv_ns LIMIT 5", ".schema li"),
    "alerts": ("#alerts", ".view-alerts .switch"),
}

#: What is pressed then, and what that brings.
PRESSED = {
    "gaps": (".calendar .cover-poor", ".view-coverage section table"),
    "sql": (".sql-form .primary", ".view-sql .query-result table"),
}


def watched(context: Any) -> tuple[Any, list[str]]:
    """A page, and what its console says."""
    page, said = context.new_page(), []
    page.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return page, said


@pytest.mark.parametrize(
    ("theme", "size"),
    [("light", "desk"), *cases(("dark", "phone"), ("dark", "desk"), ("light", "phone"))],
)
def test_every_view_fits_and_reads(
    browser: Any, served: Served, tmp_path: Path, theme: str, size: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT_MS)
    page, said = watched(context)
    page.goto(served.url)
    wrong = {}
    for name, (address, sign) in VIEWS.items():
        page.evaluate("to => { location.hash = to }", address)
        page.locator(sign).first.wait_for(state="attached")
        if name in PRESSED:
            button, answer = PRESSED[name]
            page.locator(button).first.click()
            page.locator(answer).first.wait_for(state="attached")
        found = complaints(page) + (inaccessible(page) if size == "desk" else [])
        if found:
            wrong[name] = found
        shot = tmp_path / f"{name}-{theme}-{size}.png"
        page.screenshot(path=shot, full_page=size == "phone")
        assert shot.stat().st_size > 10_000
    assert wrong == {}
    assert said == []
    context.close()
