"""Delivering: to a webhook, a command and a bot's chat, against scripted receivers."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.alerts.delivery import Delivery, DeliveryQueue
from recorder.alerts.send import Outcome, sender
from recorder.errors import ConfigError, CredentialsError
from recorder.settings.alerts import DestinationSettings

from .made import alert
from .receiving import Answer, receiving

pytestmark = pytest.mark.process

TOKEN = "123456:s3cr3t-token"


def to(token: str | None = None, **settings: Any) -> Any:
    """A sender of one destination."""
    return sender("desk", DestinationSettings.model_validate(settings), token)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# -- webhooks


def test_a_webhook_gets_the_alert_as_json() -> None:
    with receiving() as there:
        send = to(TOKEN, webhook=f"{there.url}/hook/{{token}}", headers={"X-Auth": "Key {token}"})
        assert send(alert()) == Outcome(True)
    [request] = there.requests
    assert request.path == "/hook/123456%3As3cr3t-token"
    assert request.headers["x-auth"] == f"Key {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == alert().id
    assert request.json == alert().as_dict()
    assert request.json["event"]["recv_ns"] == "1790000000000000000"


@pytest.mark.parametrize(
    ("answer", "final", "wait"),
    [
        (Answer(500), False, 0),
        (Answer(503, headers={"Retry-After": "7"}), False, 7),
        (Answer(429, headers={"Retry-After": "30"}), False, 30),
        (Answer(429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), False, 0),
        (Answer(404), True, 0),
        (Answer(401, b"no"), True, 0),
    ],
)
def test_what_a_status_means_for_another_attempt(answer: Answer, final: bool, wait: float) -> None:
    with receiving(answer) as there:
        outcome = to(webhook=there.url)(alert())
    assert outcome == Outcome(False, f"HTTP {answer.status}", final=final, wait=wait)


def test_a_redirect_is_not_followed() -> None:
    with (
        receiving() as elsewhere,
        receiving(Answer(307, headers={"Location": elsewhere.url})) as at,
    ):
        outcome = to(TOKEN, webhook=f"{at.url}/{{token}}")(alert())
    assert outcome == Outcome(False, "HTTP 307; redirects are not followed", final=True)
    assert elsewhere.requests == []


def test_a_receiver_that_is_not_there_is_told_without_its_secret() -> None:
    outcome = to(TOKEN, webhook=f"http://127.0.0.1:{free_port()}/{{token}}")(alert())
    assert not outcome.delivered and not outcome.final
    assert "Connection refused" in outcome.why
    assert "s3cr3t" not in outcome.why


def test_a_receiver_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        outcome = to(webhook=f"http://127.0.0.1:{port}/", timeout=0.2)(alert())
    assert not outcome.delivered and not outcome.final
    assert "Timeout" in outcome.why


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out",
         str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost"],
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with receiving(tls=context) as there:
        url = f"https://localhost:{there.port}/"
        refused = to(webhook=url)(alert())
        assert not refused.delivered
        assert "certificate verify failed" in refused.why
        assert there.requests == []
        assert to(webhook=url, ca_file=str(certificate))(alert()).delivered


def test_a_token_does_not_travel_in_the_open() -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        to(TOKEN, webhook="http://example.org/{token}")
    with pytest.raises(ConfigError, match="unencrypted"):
        to(TOKEN, telegram="1", base_url="http://192.0.2.1")
    to(TOKEN, webhook="https://example.org/{token}")
    to(webhook="http://example.org/")


# -- the bot API


def test_a_bot_writes_plain_text_to_its_chat() -> None:
    with receiving(Answer(200, b'{"ok": true, "result": {}}')) as there:
        send = to(TOKEN, telegram="-100123", base_url=there.url)
        assert send(alert(title="<b>*x*</b>", text="a_b")).delivered
    [request] = there.requests
    assert request.path == f"/bot{TOKEN}/sendMessage"
    assert request.json == {
        "chat_id": "-100123",
        "text": "WARNING: <b>*x*</b>\na_b",
        "disable_web_page_preview": True,
    }


def test_a_bot_that_is_asked_to_wait_waits() -> None:
    busy = b'{"ok": false, "error_code": 429, "parameters": {"retry_after": 35}}'
    with receiving(Answer(429, busy)) as there:
        outcome = to(TOKEN, telegram="1", base_url=there.url)(alert())
    assert outcome == Outcome(False, "HTTP 429", final=False, wait=35)


def test_an_answer_of_another_service_is_no_delivery() -> None:
    with receiving(Answer(200, b"<html>welcome</html>")) as there:
        outcome = to(TOKEN, telegram="1", base_url=there.url)(alert())
    assert outcome == Outcome(False, "the answer is not the bot API's", final=True)


def test_a_bot_without_a_token_is_refused() -> None:
    with pytest.raises(CredentialsError, match="RECORDER_DESK_TOKEN"):
        to(telegram="1")


# -- commands

NOTE = """
import json, os, sys
told = {n: v for n, v in os.environ.items() if n.startswith("RECORDER_") or n == "HOME"}
json.dump([sys.argv[1:], json.load(sys.stdin), told], open(sys.argv[1], "w"))
"""


def test_a_command_is_run_without_a_shell_and_without_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDER_MINE_KEY", "s3cr3t")
    out, hostile = tmp_path / "out", "$(touch x); `id`\0"
    send = to(command=[sys.executable, "-c", NOTE, str(out), "$HOME; ls"])
    fired = alert(title=hostile, event={"table": "listings", "title": hostile})
    assert send(fired) == Outcome(True)
    arguments, told, environment = json.loads(out.read_text())
    assert arguments == [str(out), "$HOME; ls"]
    assert told == fired.as_dict()
    assert environment["RECORDER_ALERT_TITLE"] == hostile.replace("\0", "")
    assert environment["RECORDER_ALERT_EVENT_TITLE"] == hostile.replace("\0", "")
    assert environment["RECORDER_ALERT_RULE"] == "big"
    assert "RECORDER_MINE_KEY" not in environment
    assert list(tmp_path.iterdir()) == [out]


def test_a_command_that_fails_says_why_and_may_be_tried_again() -> None:
    outcome = to(command=["sh", "-c", "echo no mail today >&2; exit 75"])(alert())
    assert outcome == Outcome(False, "exit code 75: no mail today")


def test_a_command_that_does_not_exist_is_not_tried_again() -> None:
    outcome = to(command=["/nonexistent/program"])(alert())
    assert outcome == Outcome(False, "cannot be run: No such file or directory", final=True)


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
    outcome = to(command=["sh", "-c", script], timeout=2)(alert())
    assert outcome == Outcome(False, "took longer than 2 s")
    written = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
    if written:  # it had come so far
        eventually(lambda: not alive(int(written)))


def alive(pid: int) -> bool:
    """True if a process runs; one that only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    for _ in range(3_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    outcome = to(command=["sh", "-c", f"sleep 30 & echo $! > {tmp_path}/pid"])(alert())
    assert outcome == Outcome(True)
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_command_that_does_not_read_is_not_waited_for() -> None:
    assert to(command=["true"])(alert(text="x" * 3_000, event={"x": "y" * 1_000_000})).delivered


# -- couriers


class Heard:
    """Keeps what couriers report."""

    def __init__(self) -> None:
        self.all: list[Delivery] = []
        self._changed = threading.Condition()

    def __call__(self, delivery: Delivery) -> None:
        with self._changed:
            self.all.append(delivery)
            self._changed.notify_all()

    def wait_for(self, number: int) -> list[tuple[str, str]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= number, timeout=30)
            return [(made.alert.id, made.outcome) for made in self.all]


def test_a_courier_tries_again_and_keeps_the_order() -> None:
    heard = Heard()
    with receiving(Answer(503), Answer(200)) as there:
        courier = DeliveryQueue("desk", to(webhook=there.url), 60, heard)
        courier.offer(alert(id="1"))
        courier.offer(alert(id="2"))
        assert heard.wait_for(2) == [("1", "delivered"), ("2", "delivered")]
        assert courier.close(30) == []
    assert [made.attempts for made in heard.all] == [2, 1]
    assert [request.json["id"] for request in there.requests] == ["1", "1", "2"]


def test_a_courier_gives_up_when_its_time_is_over_and_goes_on_with_the_next() -> None:
    heard = Heard()
    with receiving(Answer(503), Answer(404), Answer(200)) as there:
        courier = DeliveryQueue("desk", to(webhook=there.url), 0, heard)
        for name in ("1", "2", "3"):
            courier.offer(alert(id=name))
        assert heard.wait_for(3) == [("1", "failed"), ("2", "failed"), ("3", "delivered")]
        courier.close(30)
    assert [made.why for made in heard.all] == ["HTTP 503", "HTTP 404", ""]


def test_an_overfull_queue_gives_up_its_oldest_and_nobody_waits() -> None:
    heard, go_on = Heard(), threading.Event()

    def send(told: Any) -> Outcome:
        go_on.wait(30)
        return Outcome(True)

    courier = DeliveryQueue("desk", send, 60, heard)
    for number in range(1_200):
        courier.offer(alert(id=str(number)))
    dropped = [made for made in heard.all if made.outcome == "dropped"]
    assert len(dropped) in {199, 200}  # one may be on its way already
    go_on.set()
    heard.wait_for(1_200)
    assert {made.alert.id for made in heard.all} == {str(number) for number in range(1_200)}
    courier.close(30)


def test_what_waits_at_the_end_is_handed_back_once() -> None:
    heard = Heard()
    with receiving(Answer(503)) as there:
        courier = DeliveryQueue("desk", to(webhook=there.url), 3_600, heard)
        for name in ("1", "2", "3"):
            courier.offer(alert(id=name))
        there.wait_for(1)
        assert [one.id for one in courier.close(30)] == ["1", "2", "3"]
    assert heard.all == []
