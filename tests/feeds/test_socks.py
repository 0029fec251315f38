"""A recorder behind a SOCKS5 proxy: its sockets and its lists go through, names and all."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.exchange import until
from kit.socks import Socks

from .recording import holds, raw
from .test_symbols import Venue, capturing

pytest.importorskip("python_socks")
pytest.importorskip("socks")

pytestmark = pytest.mark.process

#: A name that no resolver knows: whoever resolves it before the proxy does gets nowhere.
HOST = "venue.invalid"


@pytest.mark.parametrize(
    ("scheme", "login", "host"),
    [
        ("socks5h", None, HOST),
        ("socks5h", ("reader", "pass:secret"), HOST),
        ("socks5", None, "127.0.0.1"),
    ],
)
async def test_a_feed_and_its_list_go_through_the_proxy(
    tmp_path: Path, scheme: str, login: tuple[str, str] | None, host: str
) -> None:
    venue, proxy = Venue(), Socks(login)
    venue.symbols = ["BTCUSDT"]
    with venue.listing():
        async with venue.open(), proxy.open():
            user = f"{login[0]}:{login[1].replace(':', '%3A')}@" if login else ""
            more = {
                "url": venue.url.replace("127.0.0.1", host),
                "rest_url": venue.rest.replace("127.0.0.1", host),
                "proxy": f"{scheme}://{user}127.0.0.1:{proxy.port}",
            }
            async with capturing(tmp_path, venue, "allLiquidation.*", **more) as running:
                await until(lambda: venue.subscribed == {"allLiquidation.BTCUSDT"})
                await running.stopped()
    ports = {int(url.rpartition(":")[2]) for url in (venue.url, venue.rest)}
    assert {name for name, _ in proxy.asked} == {host}
    assert {port for _, port in proxy.asked} == ports
    assert proxy.refused == 0
    frames = [one for kept in raw(tmp_path / "data", "bybit").values() for one in kept]
    assert {"sent", "instruments", "closed"} <= {kind for kind, _ in frames}
    if login:
        assert "secret" not in running.said
        assert holds(tmp_path / "data", "pass:secret") == []
        assert holds(tmp_path / "data", "pass%3Asecret") == []


async def test_a_proxy_that_refuses_is_told_and_no_way_around_it_is_taken(tmp_path: Path) -> None:
    venue, proxy = Venue(), Socks(("reader", "right"))
    with venue.listing():
        async with venue.open(), proxy.open():
            address = f"socks5://reader:wrong@127.0.0.1:{proxy.port}"
            async with capturing(tmp_path, venue, "publicTrade.BTCUSDT", proxy=address) as running:
                await until(lambda: proxy.refused >= 2)
                running.process.terminate()
                assert await running.process.wait() == 3  # nothing connected
                await running.listening
    assert "cannot connect: failed to connect to SOCKS proxy" in running.said
    assert "wrong" not in running.said
    assert venue.talks == []
    assert holds(tmp_path / "data", "wrong") == []
