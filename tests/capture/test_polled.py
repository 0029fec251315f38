"""Polled URLs: what a scripted HTTP server answers is in the record, named, and stops nothing."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import duckdb
import pytest
from kit.captures import capturing, eventually, marker, rows
from kit.servers import Peer, serving

from recorder.frame import Frame

pytestmark = pytest.mark.process

BIG = 100 << 20
Say = Callable[[int, dict[str, str]], tuple[int, dict[str, str], bytes | int]]


def _always(body: bytes, **headers: str) -> Say:
    return lambda _n, _asked: (200, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def _tagged(n: int, asked: dict[str, str]) -> tuple[int, dict[str, str], bytes | int]:
    if asked.get("if-none-match") == '"one"' and n < 3:
        return 304, {}, b""
    return 200, {"ETag": '"one"' if n < 3 else '"two"'}, b'{"n":1}' if n < 3 else b'{"n":2}'


def _banned(n: int, _asked: dict[str, str]) -> tuple[int, dict[str, str], bytes | int]:
    after = "2" if n == 0 else formatdate(time.time() + 2, usegmt=True)
    return (429, {"Retry-After": after}, b"slow down") if n < 2 else (200, {}, b"[3]")


def _elsewhere(n: int, _asked: dict[str, str]) -> tuple[int, dict[str, str], bytes | int]:
    return (302, {"Location": "http://127.0.0.1:9/other"}, b"") if n < 1 else (200, {}, b"[4]")


def _moved(n: int, _asked: dict[str, str]) -> tuple[int, dict[str, str], bytes | int]:
    return (302, {"Location": "/moved"}, b"") if n % 2 == 0 else (200, {}, b"[5]")


def _away(n: int, _asked: dict[str, str]) -> tuple[int, dict[str, str], bytes | int]:
    return (200, {}, b"[6]") if n != 1 else (503, {}, b"")


STORIES: dict[str, Say] = {
    "equal": _always(b'{"one": "\xc3\xa9"}\r\n'),
    "tagged": _tagged,
    "banned": _banned,
    "elsewhere": _elsewhere,
    "moved": _moved,
    "huge": lambda n, _a: (200, {}, BIG) if n == 0 else (200, {}, b"[7]"),
    "packed": _always(gzip.compress(b"[8]"), Content_Encoding="gzip"),
    "broken": _always(b"\x1f\x8bnot gzip", Content_Encoding="gzip"),
    "away": _away,
}


class Http:
    """A server of scripted answers, one script for each first part of a path."""

    def __init__(self) -> None:
        self.asked: dict[str, list[tuple[float, dict[str, str]]]] = {name: [] for name in STORIES}
        self.sent = 0
        self.port = 0

    async def __aenter__(self) -> Http:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            name = first.split()[1].split("?")[0].strip("/")
            name = name if name in STORIES else "moved"
            headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
            if "/gone" in first:
                writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
                return
            n = len(self.asked[name])
            self.asked[name].append((time.monotonic(), headers))
            status, more, body = STORIES[name](n, headers)
            size = body if isinstance(body, int) else len(body)
            text = "".join(f"{k}: {v}\r\n" for k, v in more.items())
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{text}\r\n".encode())
            if isinstance(body, int):
                for _ in range(body >> 20):
                    writer.write(bytes(1 << 20))
                    await writer.drain()
                    self.sent += 1 << 20
            else:
                writer.write(body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _socket(peer: Peer) -> None:
    await peer.accept()
    await peer.send(("text", b'{"op":"ping","ts":"17"}'), ("text", b'{"beside":1}'))
    await peer.gone.wait()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data: Path = tmp_path_factory.mktemp("polled") / "data"
    return asyncio.run(_tell(data))


async def _tell(data: Path) -> dict[str, Any]:
    async with Http() as http, serving(_socket) as beside:
        feeds = {
            name: {"poll": [f"http://127.0.0.1:{http.port}/{name}?apiKey=secret1"], "every": 1}
            for name in STORIES
        }
        feeds["beside"] = {
            "url": beside.url,
            "poll": [f"http://127.0.0.1:{http.port}/equal"],
            "ping": "hello",
            "ping_every": 0.5,
            "reply": {r'"op":"ping","ts":"(\d+)"': r'{"op":"pong","ts":"\1"}'},
        }
        one, gone = (f"http://127.0.0.1:{http.port}/{path}" for path in ("equal", "gone"))
        feeds["two"] = {"poll": [one, gone], "every": 1}
        async with capturing(data, feeds, stats_seconds=0.5) as child:
            least = {"banned": 4, "tagged": 5, "away": 4, "moved": 6, "huge": 3}
            await eventually(
                lambda: all(len(http.asked[n]) >= least.get(n, 3) for n in STORIES), 60
            )
            await asyncio.sleep(0.3)
            code = await child.stopped()
        return {
            "peer": beside.peers[0],
            "http": http,
            "code": code,
            "said": child.said,
            "data": data,
        }


def _frames(told: dict[str, Any], name: str) -> list[Frame]:
    return rows(told["data"], name)


def _bodies(told: dict[str, Any], name: str) -> list[bytes]:
    return [one.payload for one in _frames(told, name) if one.kind == "polled"]


def _closed(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    ends = [marker(one) for one in _frames(told, name) if one.kind == "closed"]
    return [end for end in ends if end["reason"] != "stopping"]


def test_bodies_are_in_raw_byte_for_byte_and_equal_ones_once(told: dict[str, Any]) -> None:
    assert told["code"] == 0, told["said"]
    assert _bodies(told, "equal") == [b'{"one": "\xc3\xa9"}\r\n']
    answers = [marker(one) for one in _frames(told, "equal") if one.kind == "answer"]
    assert len(answers) >= 3
    assert [one["unchanged"] for one in answers] == [False] + [True] * (len(answers) - 1)
    assert not _closed(told, "equal")


def test_a_304_is_a_marker_and_a_changed_body_a_frame(told: dict[str, Any]) -> None:
    assert _bodies(told, "tagged") == [b'{"n":1}', b'{"n":2}']
    answers = [marker(one) for one in _frames(told, "tagged") if one.kind == "answer"]
    assert [one["status"] for one in answers[:4]] == [200, 304, 304, 200]
    assert (answers[0]["etag"], answers[3]["etag"]) == ('"one"', '"two"')


def test_a_ban_is_waited_for_in_both_forms_of_retry_after(told: dict[str, Any]) -> None:
    assert [end["code"] for end in _closed(told, "banned")] == [429, 429]
    at = [when for when, _ in told["http"].asked["banned"]]
    assert at[1] - at[0] >= 2
    assert at[2] - at[1] >= 1  # an HTTP date has whole seconds
    assert _bodies(told, "banned") == [b"[3]"]


def test_redirects_are_followed_to_the_same_host_alone(told: dict[str, Any]) -> None:
    (end,) = _closed(told, "elsewhere")
    assert "HTTP 302: it points to http://127.0.0.1:9/other" in end["reason"]
    assert _bodies(told, "elsewhere") == [b"[4]"]
    assert _bodies(told, "moved") == [b"[5]"]


def test_a_url_that_is_gone_is_told_and_the_others_of_its_group_go_on(told: dict[str, Any]) -> None:
    port = told["http"].port
    (said,) = [line for line in told["said"].splitlines() if "a polled URL was refused" in line]
    assert f"http://127.0.0.1:{port}/gone" in said
    assert "404" in said
    assert len(_bodies(told, "two")) == 1
    assert not _closed(told, "two")


def test_a_body_of_100_mb_is_named_and_not_read(told: dict[str, Any]) -> None:
    (end,) = _closed(told, "huge")
    assert "more than 16 MiB" in end["reason"]
    assert told["http"].sent < BIG // 2
    assert _bodies(told, "huge") == [b"[7]"]


def test_gzip_is_unpacked_and_broken_gzip_named_and_kept(told: dict[str, Any]) -> None:
    assert _bodies(told, "packed") == [b"[8]"]
    assert _bodies(told, "broken") == [b"\x1f\x8bnot gzip"]
    first = next(marker(one) for one in _frames(told, "broken") if one.kind == "answer")
    assert first["broken"].startswith("invalid gzip")
    assert "a broken answer" in told["said"]


def test_an_outage_is_a_gap_and_the_time_between_answers_is_none(told: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "recorder", "ingest", "--data-dir", str(told["data"])]
    subprocess.run(command, check=True, capture_output=True)
    with duckdb.connect(str(told["data"] / "recorder.duckdb"), read_only=True) as db:
        gaps = db.sql(
            "SELECT feed, line_group, cause FROM gaps WHERE cause <> 'the recorder was stopped'"
        ).fetchall()
        counted = dict(db.sql("SELECT feed, sum(frames) FROM connections GROUP BY 1").fetchall())
    assert {(feed, group) for feed, group, _ in gaps} == {("away", "polled")}
    assert "HTTP 503" in gaps[0][2]
    assert counted["equal"] == 1
    assert counted["away"] == 2  # each connection has its body


def test_a_socket_beside_polled_urls_lives_on_and_answers_as_the_settings_say(
    told: dict[str, Any],
) -> None:
    heard = told["peer"].heard
    assert heard.count(b'{"op":"pong","ts":"17"}') == 1
    assert heard.count(b"hello") >= 3
    frames = _frames(told, "beside")
    assert [one.payload for one in frames if one.kind == "text"][-1] == b'{"beside":1}'
    assert len({one.connection for one in frames if one.kind == "open"}) == 2


def test_no_secret_of_a_polled_url_is_written(told: dict[str, Any]) -> None:
    assert "secret1" not in told["said"]
    for name in STORIES:
        assert not any(b"secret1" in one.payload for one in _frames(told, name))
