"""The delay from the receipt of an event until its alert arrives at a webhook.

`python -m benchmarks.alerts` runs a simulated service, capture, alerts and a webhook on this
machine. One in a hundred events leads to an alert.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from benchmarks import machine, options
from benchmarks.percentiles import percentiles
from benchmarks.process import cpu
from benchmarks.report import Figures
from benchmarks.serve import _event, _go, _recorder, _tape, _watched

_CONFIG = """\
data_dir = "{folder}/data"

[feeds.tape]
kind = "binance"
url = "{url}"
rest_url = "http://127.0.0.1:9"
channels = ["!forceOrder@arr"]

[alerts.some]
table = "liquidations"
when = "price BETWEEN 64251.045 AND 64251.055"
at_most = "1000/s"
to = "here"

[destinations.here]
webhook = "http://127.0.0.1:{port}/"
"""


@contextmanager
def receiving() -> Iterator[tuple[int, list[int]]]:
    """Run a webhook; yield its port and the list of the events' ages at arrival, in ns."""
    ages: list[int] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            now = time.time_ns()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "event" in body:
                ages.append(now - int(body["event"]["recv_ns"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], ages
        server.shutdown()


def measure(base: Path, rate: int, seconds: float) -> Figures:
    """Return the figures of one rate: start all processes, measure, stop them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=base)))
        port, ages = stack.enter_context(receiving())
        source = stack.enter_context(_watched(folder, "source", _tape("source", rate, seconds)))
        url = f"ws://127.0.0.1:{_event(source, 'listening')['port']}/"
        config = folder / "recorder.toml"
        config.write_text(_CONFIG.format(folder=folder, url=url, port=port))
        stack.enter_context(_watched(folder, "capture", _recorder("capture", config)))
        _event(source, "open")
        alerts = stack.enter_context(_watched(folder, "alerts", _recorder("alerts", config)))
        time.sleep(5.0)  # until it follows the record
        before, began = cpu(alerts.pid), time.monotonic()
        _go(source)
        _event(source, "done")
        time.sleep(2.0)  # until the last alerts have arrived
        used, took = cpu(alerts.pid), time.monotonic() - began
        if not ages:
            raise RuntimeError(f"no alert arrived\n{alerts.complaint()}")
        return {
            "events_per_second": rate,
            "alerts": len(ages),
            "expected": sum(number % 100 == 5 for number in range(int(rate * seconds))),
            "delay_ms": percentiles(ages),
            "alerts_cpu_percent": round(100 * (used.own - before.own) / took, 1),
        }


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Duration of each rate.")
@click.option("--rate", "rates", multiple=True, type=int, help="[100 and 1000]")
@options.as_json
def main(seconds: float, rates: tuple[int, ...], as_json: bool) -> None:
    """Measure the delay from a frame's receipt to its alert at a webhook.

    Example: python -m benchmarks.alerts --seconds 10 --rate 1000
    """
    folder = Path(tempfile.gettempdir())
    before = machine.describe(folder)
    results = [measure(folder, rate, seconds) for rate in rates or (100, 1_000)]
    if as_json:
        click.echo(json.dumps({"benchmark": "alerts", "machine": before, "alerts": results}))
        return
    for one in results:
        delay = one["delay_ms"]
        click.echo(f"{one['events_per_second']:,} events/s: {one['alerts']} of {one['expected']}")
        click.echo(f"  p50 {delay['p50']:.0f} p90 {delay['p90']:.0f} p99 {delay['p99']:.0f} ms")
        click.echo(f"  alerts: {one['alerts_cpu_percent']} % of a core")


if __name__ == "__main__":
    main()
