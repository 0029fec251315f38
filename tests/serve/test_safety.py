"""Who is let in, and what is refused: through a real server, and the pure decisions."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.commands import recorder
from websockets.exceptions import InvalidStatus

from recorder.cli.serve import _token
from recorder.errors import UsageError
from recorder.serve.guard import COOKIE, Access, names_of
from recorder.serve.server import Bind
from recorder.serve.wrong_tokens import WrongTokens, client_of

from .serving import Served, serving

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def open_server(sample: Path) -> Iterator[Served]:
    with serving(sample) as served:
        yield served


@pytest.fixture(scope="module")
def locked(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("token") / "token"
    file.touch(0o600)
    file.write_text(TOKEN + "\n")
    with serving(sample, "--token-file", str(file)) as served:
        yield served


@pytest.mark.process
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "localhost.evil.example", ""]
)
def test_a_foreign_host_is_refused(open_server: Served, host: str) -> None:
    reply = open_server.ask("/api/meta", Host=host)
    assert reply.status in {400, 421}
    assert b"data_dir" not in reply.body


@pytest.mark.process
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(open_server: Served, origin: str) -> None:
    assert open_server.ask("/api/meta", Origin=origin).status == 403
    with pytest.raises(InvalidStatus) as refused, open_server.live(origin=origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.process
def test_what_another_site_makes_a_browser_ask_is_refused(open_server: Served) -> None:
    asked = open_server.ask("/api/status", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert asked.status == 403
    link = open_server.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert link.status == 200


@pytest.mark.process
@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/../../etc/passwd",
        "/api/query/..%2f..%2fnormalise%2fbinance.json",
        "/api/frame?feed=../../etc&connection=x&seq=1&recv_ns=1",
        "/api/gaps?feed=x&day=../../etc",
        "/nothing",
    ],
)
def test_no_path_leads_outside(open_server: Served, path: str) -> None:
    reply = open_server.ask(path)
    assert 400 <= reply.status < 500
    assert set(reply.json) == {"error", "where", "next"}


@pytest.mark.process
def test_every_answer_carries_the_headers(open_server: Served) -> None:
    for path in ("/", "/api/meta", "/nothing", "/page/style.css"):
        headers = open_server.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.process
def test_a_body_that_is_too_large_is_refused(open_server: Served) -> None:
    reply = open_server.ask("/api/sql.json", "POST", b'{"sql": "' + b"x" * 100_000 + b'"}')
    assert reply.status == 413


@pytest.mark.process
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sql": 1}', b"\xff"])
def test_a_body_that_is_no_question_is_refused(open_server: Served, body: bytes) -> None:
    assert open_server.ask("/api/sql.json", "POST", body).status == 400


@pytest.mark.process
def test_a_wrong_method_is_refused(open_server: Served) -> None:
    assert open_server.ask("/api/sql.json").status == 405
    assert open_server.ask("/api/meta", "DELETE").status == 405


@pytest.mark.process
def test_without_the_token_nothing_is_told(locked: Served) -> None:
    for path in ("/", "/api/meta", "/api/status", "/metrics", "/readyz", "/page/app.js"):
        assert locked.ask(path).status == 401, path
    assert locked.ask("/", Accept="text/html").headers["location"] == "/login"
    assert locked.ask("/api/meta", Authorization=f"Bearer {TOKEN}x").status == 401
    with pytest.raises(InvalidStatus) as refused, locked.live():
        pass
    assert refused.value.response.status_code == 401
    assert locked.ask("/healthz").status == 200
    assert locked.ask("/login").status == 200


@pytest.mark.process
def test_the_token_opens_for_machines_and_by_the_form(locked: Served) -> None:
    assert locked.ask("/api/meta", Authorization=f"Bearer {TOKEN}").status == 200
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    wrong = locked.ask("/login", "POST", b"token=wrong", **form)
    assert wrong.status == 303
    assert "set-cookie" not in wrong.headers
    right = locked.ask("/login", "POST", f"token={TOKEN}".encode(), **form)
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    name = cookie.partition(";")[0]
    assert locked.ask("/api/meta", Cookie=name).status == 200
    with locked.live(additional_headers={"Cookie": name}) as live:
        assert live.next("hello")["version"]
    assert locked.ask("/api/meta", Cookie=name[:-1] + "0x").status == 401
    out = locked.ask("/logout", "POST", Cookie=name).headers["set-cookie"]
    assert f'{COOKIE}=""' in out


def test_a_service_manager_s_credential_is_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serve_token").write_text(f"{TOKEN}\n")
    (tmp_path / "serve_token").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    everywhere = Bind("192.0.2.1", 0)
    assert _token(everywhere, None) == TOKEN
    assert _token(everywhere, tmp_path / "serve_token") == TOKEN
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(UsageError, match="others can read"):
        _token(everywhere, tmp_path / "serve_token")


@pytest.mark.process
def test_others_are_let_in_with_a_token_only(sample: Path, tmp_path: Path) -> None:
    asked = recorder("serve", "--data-dir", sample, "--host", "0.0.0.0", "--port", "0")
    assert asked.returncode == 2
    assert "a token is needed" in asked.stderr
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    asked = recorder("serve", "--data-dir", sample, "--port", "0", "--token-file", file)
    assert asked.returncode == 2
    assert "others can read this file" in asked.stderr


@pytest.mark.process
def test_a_port_in_use_is_said_with_what_to_do(sample: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        asked = recorder("serve", "--data-dir", sample, "--port", str(port))
    assert asked.returncode == 2
    assert f"127.0.0.1:{port}: the port is in use" in asked.stderr
    assert "--port" in asked.stderr


@pytest.mark.process
def test_without_a_data_directory_it_does_not_start(tmp_path: Path) -> None:
    asked = recorder("serve", "--data-dir", tmp_path / "none", "--port", "0")
    assert asked.returncode == 1
    assert "no data directory" in asked.stderr
    assert not (tmp_path / "none").exists()


# -- pure decisions


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True), ("LOCALHOST:8787", True), ("127.0.0.1:8787", True), ("[::1]:80", True),
        ("10.0.0.7", True), ("mine.example", True), ("evil.example", False), ("", False),
        ("localhost@evil.example", False), ("localhost/evil", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:port", False),
    ],
)  # fmt: skip
def test_a_host_is_known_by_name_or_is_an_address(host: str, known: bool) -> None:
    assert Access(None, names_of("127.0.0.1", ["mine.example"])).knows(host) is known


@given(st.text())
def test_any_host_is_judged(host: str) -> None:
    assert Access().knows(host) in {True, False}


@given(st.text())
def test_no_made_up_cookie_is_admitted(cookie: str) -> None:
    assert not Access("token").admits(cookie, 0.0)


def test_a_session_ends(tmp_path: Path) -> None:
    access = Access("token")
    assert access.admits(access.session(100), 99.0)
    assert not access.admits(access.session(100), 100.0)
    assert not Access("another").admits(access.session(100), 99.0)


def test_nobody_guesses_fast_and_nobody_locks_out_another() -> None:
    now = [0.0]
    wrong = WrongTokens(lambda: now[0])
    for _ in range(10):
        assert not wrong.exhausted("here")
        wrong.add("here")
    assert wrong.exhausted("here")
    assert not wrong.exhausted("there")
    now[0] = 61.0
    assert not wrong.exhausted("here")


def test_who_had_the_right_token_is_not_refused_for_an_hour() -> None:
    now = [0.0]
    wrong = WrongTokens(lambda: now[0])
    wrong.right("here")
    now[0] = 3595.0
    for _ in range(20):
        wrong.add("here")
    assert not wrong.exhausted("here")
    now[0] = 3601.0
    assert wrong.exhausted("here")


def test_only_some_clients_are_remembered() -> None:
    wrong = WrongTokens(lambda: 0.0)
    for number in range(20_000):
        wrong.add(str(number))
    assert len(wrong._wrong) == 10_000


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"), ("a socket", "a socket"),
    ],
)  # fmt: skip
def test_a_network_of_ipv6_is_one_client(host: str, client: str) -> None:
    assert client_of(host) == client


@pytest.mark.process
def test_wrong_tokens_are_counted_per_client_and_a_session_is_never_locked_out(
    sample: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(TOKEN)
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with serving(sample, "--token-file", str(file)) as served:
        wrong = [served.ask("/api/meta", Authorization=f"Bearer {n}").status for n in range(12)]
        assert wrong == [401] * 9 + [429] * 3
        assert served.ask("/api/meta", Authorization=f"Bearer {TOKEN}").status == 429
        assert served.ask("/login", "POST", f"token={TOKEN}".encode(), **form).status == 429
        session = Access(TOKEN).session(10**11)
        assert served.ask("/api/meta", Cookie=f"{COOKIE}={session}").status == 200
        other = served.ask("/api/meta", source="127.0.0.2", Authorization=f"Bearer {TOKEN}")
        assert other.status == 200
        for _ in range(12):
            served.ask("/login", "POST", b"token=wrong", source="127.0.0.2", **form)
        other = served.ask("/api/meta", source="127.0.0.2", Authorization=f"Bearer {TOKEN}")
        assert other.status == 200
