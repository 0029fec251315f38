"""The age of the newest row on the page, and the growth of the page's memory.

`python -m benchmarks.page` runs a simulated service, capture, serve and a headless Chromium on this
machine. It needs Debian's `chromium` and the extra `dev`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import Page, sync_playwright

from benchmarks import machine, options
from benchmarks.percentiles import percentiles
from benchmarks.process import cpu

CHROMIUM = "/usr/bin/chromium"
CHANNELS = [f"whales:{coin}" for coin in ("BTC", "ETH", "SOL", "XRP")]
CHANNELS += ["derivatives:funding", "derivatives:liquidations", "onchain:flows", "market:alerts"]

#: Measures the age of the first row after each frame of the screen; the row's link has the receive
#: timestamp. A separate task reads it, after everything that the page does for that frame: the
#: callback of the frame would still see the previous frame's row.
_WATCH = """() => {
  window.ages = [];
  const painted = new MessageChannel();
  painted.port1.onmessage = () => {
    const link = document.querySelector('.tape-rows .c-raw a');
    const found = /recv_ns=(\\d+)/.exec(link?.hash ?? '');
    const now = performance.timeOrigin + performance.now();
    if (found) window.ages.push(now - Number(found[1]) / 1e6);
  };
  const frame = () => {
    painted.port2.postMessage(0);
    requestAnimationFrame(frame);
  };
  frame();
}"""


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a `recorder` process; stop it and wait for it at the end."""
    environment = {**os.environ, "RECORDER_SMARTMONEY_KEY": "0" * 32}
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def line(process: subprocess.Popen[str]) -> str:
    """Return the first line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def heap(page: Page) -> float:
    """Return the page's JavaScript heap after a garbage collection, in 10⁶ bytes."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(page.evaluate("performance.memory.usedJSHeapSize")) / 1e6


def count(page: Page, name: str) -> str:
    """Return one of the counts beside the tape's title."""
    text = page.locator(".view-tape .count", has_text=name).text_content()
    return (text or "").split(" ")[0]


def watch(page: Page, served: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Return the figures of a page watched for `seconds`."""
    page.locator(".tape-rows .tape-row").first.wait_for(timeout=60_000)
    page.wait_for_timeout(5_000)  # until the first rows and the comparison of clocks are done
    before, spent, begun = heap(page), cpu(served.pid), time.monotonic()
    page.evaluate(_WATCH)
    page.wait_for_timeout(seconds * 1000)
    ages = page.evaluate("window.ages.splice(0)")
    took = time.monotonic() - begun
    return {
        "newest_row_age_ms": percentiles(int(age * 1e6) for age in ages),
        "screen_frames_per_second": len(ages) / took,
        "heap_mb": {"before": before, "after": heap(page)},
        "rows": page.locator(".tape-rows .tape-row").count(),
        "left_out": count(page, "left out"),
        "dropped": count(page, "dropped"),
        "serve_cpu_percent": 100 * (cpu(served.pid).own - spent.own) / took,
    }


def measure(rate: int, seconds: float) -> dict[str, Any]:
    """Return the figures of one rate: start all processes, watch the page, stop them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recorder-page-")))
        run = lambda *words: stack.enter_context(running(folder, *words))  # noqa: E731
        url = line(run("simulate", "smartmoney", "--rate", str(rate)))
        settings = f'[feeds.smartmoney]\nurl = "{url}"\nchannels = {json.dumps(CHANNELS)}\n'
        (folder / "recorder.toml").write_text(settings)
        run("capture")
        served = run("serve", "--port", "0")
        driver = stack.enter_context(sync_playwright())
        options = ["--no-sandbox", "--headless", "--enable-precise-memory-info"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(line(served))
        return {"events_per_second": rate, **watch(page, served, seconds)}


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Time to watch each rate.")
@click.option("--rate", "rates", multiple=True, type=int, help="[1000 and 5000]")
@options.as_json
def main(seconds: float, rates: tuple[int, ...], as_json: bool) -> None:
    """Measure the age of the newest row on the page of `recorder serve`.

    Example: python -m benchmarks.page --seconds 20 --rate 1000
    """
    before = machine.describe(Path(tempfile.gettempdir()))
    pages = [measure(rate, seconds) for rate in rates or (1_000, 5_000)]
    if as_json:
        click.echo(json.dumps({"benchmark": "page", "machine": before, "page": pages}))
        return
    for one in pages:
        age, heap = one["newest_row_age_ms"], one["heap_mb"]
        ages = " ".join(f"{name} {age[name]:.0f}" for name in ("p50", "p90", "p99"))
        click.echo(f"{one['events_per_second']:,} events/s")
        click.echo(f"  newest row: {ages} ms; left out {one['left_out']}")
        click.echo(f"  heap: {heap['before']:.2f} → {heap['after']:.2f} MB")
        click.echo(f"  serve: {one['serve_cpu_percent']:.1f} % of a core")


if __name__ == "__main__":
    main()
