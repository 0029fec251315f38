"""`recorder doctor`: what keeps a recorder from recording is named before it does."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recorder.capture.sources import sources
from recorder.cli import cli
from recorder.clock import NS, Clock, ulid
from recorder.record.layout import Layout, stem
from recorder.settings.config import load
from recorder.simulate import SERVICES
from recorder.status import doctor

KEY = "dsk_" + "5e" * 32


def ask(tmp_path: Path, toml: str, *flags: str, **environment: str) -> Result:
    config = tmp_path / "recorder.toml"
    config.write_text(toml)
    command = ["doctor", "--config", str(config), "--data-dir", str(tmp_path / "data"), *flags]
    return CliRunner().invoke(cli, command, env=environment)


def checks(result: Result) -> dict[str, dict[str, object]]:
    return {check["name"]: check for check in json.loads(result.stdout)}


def test_a_feed_without_its_key_is_bad_and_says_which_variable_to_set(tmp_path: Path) -> None:
    result = ask(tmp_path, "[feeds.cryptolisting]\n", "--json")
    found = checks(result)["feed cryptolisting"]
    assert (result.exit_code, found["ok"]) == (10, False)
    assert "RECORDER_CRYPTOLISTING_KEY" in str(found["hint"])


def test_where_a_key_comes_from_is_said_and_the_key_is_not(tmp_path: Path) -> None:
    result = ask(tmp_path, "[feeds.cryptolisting]\n", RECORDER_CRYPTOLISTING_KEY=KEY)
    assert "key from RECORDER_CRYPTOLISTING_KEY" in result.stdout
    assert KEY not in result.output


def test_a_key_file_that_others_can_read_is_bad(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(KEY)
    secret.chmod(0o644)
    result = ask(tmp_path, f'[feeds.cryptolisting]\nkey_file = "{secret}"\n', "--json")
    found = checks(result)["feed cryptolisting"]
    assert found["ok"] is False and "chmod 600" in str(found["hint"])


def test_free_disk_is_told_in_hours_at_the_recorded_rate(tmp_path: Path) -> None:
    layout, now_ns = Layout(tmp_path / "data"), Clock().wall_ns()
    sealed = layout.parquet("toy", stem(now_ns - 1800 * NS, ulid(now_ns, bytes(10)), 1))
    sealed.parent.mkdir(parents=True)
    sealed.write_bytes(bytes(6_000_000))
    result = ask(tmp_path, '[feeds.toy]\nkind = "generic"\nurl = "ws://x"\n', "--json")
    says = str(checks(result)["disk"]["says"])
    assert re.search(r"GB free; at the present 1[12]\.\d MB an hour full in ", says), says


@pytest.mark.process
@pytest.mark.parametrize(("keys", "ok"), [(None, True), (frozenset({"dsk_" + "0" * 64}), False)])
async def test_an_endpoint_is_reached_or_its_refusal_is_told(
    tmp_path: Path, keys: frozenset[str] | None, ok: bool
) -> None:
    service = SERVICES["cryptolisting"]
    async with await service.serve(service.options(keys=keys, limits=None)) as server:
        config = tmp_path / "recorder.toml"
        config.write_text(f'[feeds.cryptolisting]\nurl = "{server.url}"\n')
        settings = load(config)
        ready = sources(settings, {"cryptolisting": KEY})
        (found,) = await doctor.reach(settings, ready)
    assert found.ok is ok, found.says
    assert ("answers in" in found.says) is ok and ("403" in found.says) is not ok


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there = b" /there" in (await reader.readuntil(b"\r\n\r\n"))
    status = b"200 OK" if there else b"404 Not Found"
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n[]")
    await writer.drain()
    writer.close()


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "ok", "says"), [("there", True, "answers in"), ("gone", False, "HTTP 404")]
)
async def test_a_polled_url_is_asked_once(tmp_path: Path, path: str, ok: bool, says: str) -> None:
    async with await asyncio.start_server(_answers, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{path}?apiKey=secret1"
        config = tmp_path / "recorder.toml"
        config.write_text(f'[feeds.toy]\nkind = "generic"\npoll = ["{url}"]\n')
        settings = load(config)
        (found,) = await doctor.reach(settings, sources(settings, {"toy": None}))
    assert (found.ok, says in found.says) == (ok, True), found
    assert "secret1" not in found.name + found.says


@pytest.mark.parametrize("place", ["setting", "variable"])
def test_a_socks_proxy_without_its_packages_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("recorder.capture.sources.find_spec", lambda name: None)
    proxy = "socks5h://127.0.0.1:1080"
    if place == "variable":
        monkeypatch.setenv("all_proxy", proxy)
        monkeypatch.setenv("socks_proxy", proxy)
    setting = f'proxy = "{proxy}"\n' if place == "setting" else ""
    result = ask(tmp_path, f'[feeds.toy]\nkind = "generic"\nurl = "wss://x"\n{setting}', "--json")
    found = checks(result)["feed toy"]
    assert found["ok"] is False
    assert "python-socks" in str(found["says"])
    assert "feed-recorder[socks]" in str(found["hint"])
