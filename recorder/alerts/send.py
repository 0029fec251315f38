"""One attempt to deliver one alert: to a webhook, a command, or a bot's chat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import urllib3

from recorder.alerts.alert import Alert, shown
from recorder.errors import ConfigError, CredentialsError
from recorder.redact import Redactor
from recorder.settings.alerts import DestinationSettings
from recorder.settings.keys import token_variable
from recorder.version import __version__

#: The most bytes of an answer that are read, to find when to retry.
_ANSWER = 16_384

#: The bot API takes 4096 characters; those beyond the basic plane may count twice.
_CHAT = 2_000

#: The most characters per environment variable, and of a command's output in the log.
_VARIABLE, _WORDS = 4_096, 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt: `why` it failed, and `final` if a retry would fail the same way.

    `wait` is the seconds that the receiver asked to wait before a retry.
    """

    delivered: bool
    why: str = ""
    final: bool = False
    wait: float = 0.0


class Sender(Protocol):
    """Delivers one alert; never raises."""

    def __call__(self, alert: Alert) -> Outcome:
        """Send the alert once, within the destination's timeout; return the outcome."""


def sender(name: str, settings: DestinationSettings, token: str | None) -> Sender:
    """Return the function that sends to a destination.

    Raises:
        ConfigError: a secret would travel unencrypted.
        CredentialsError: the destination needs a token, and none is set.
    """
    where = f"destinations.{name}"
    if settings.needs_token and not token:
        variable = token_variable(name)
        hint = f"set {variable}, or {variable}_FILE to a file of mode 0600 that holds it"
        raise CredentialsError("this destination needs a token", where=where, hint=hint)
    if settings.needs_token and settings.secret_in_the_open:
        hint = "use https, or an address of this machine"
        raise ConfigError("the token would travel unencrypted", where=where, hint=hint)
    if settings.command is not None:
        return Command(settings.command, settings.timeout)
    hide, http = Redactor([token] if token else []), _http(settings, where)
    if settings.telegram is not None:
        return Telegram(settings, token or "", http, hide)
    return Webhook(settings, token or "", http, hide)


def _http(settings: DestinationSettings, where: str) -> urllib3.PoolManager:
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise ConfigError("cannot be read", where=f"{where}.ca_file")
    return urllib3.PoolManager(
        num_pools=1,
        maxsize=1,
        retries=False,
        timeout=urllib3.Timeout(total=settings.timeout),
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(settings.ca_file) if settings.ca_file else None,
        headers={"User-Agent": f"recorder/{__version__}"},
    )


class Webhook:
    """POSTs the alert as JSON. Redirects are not followed: a secret goes only where it was sent."""

    def __init__(
        self, settings: DestinationSettings, token: str, http: urllib3.PoolManager, hide: Redactor
    ) -> None:
        self._url = (settings.webhook or "").replace("{token}", quote(token, safe="/"))
        self._headers = {k: v.replace("{token}", token) for k, v in settings.headers.items()}
        self._http, self._hide = http, hide

    def __call__(self, alert: Alert) -> Outcome:
        """Send the alert once; return the outcome."""
        headers = {"Idempotency-Key": alert.id, **self._headers}
        outcome, _ = _post(self._http, self._url, alert.as_dict(), headers, self._hide)
        return outcome


class Telegram:
    """The bot API's `sendMessage`, as plain text: nothing in it is markup."""

    def __init__(
        self, settings: DestinationSettings, token: str, http: urllib3.PoolManager, hide: Redactor
    ) -> None:
        base = settings.base_url.rstrip("/")
        self._url = f"{base}/bot{quote(token, safe=':')}/sendMessage"
        self._chat, self._http, self._hide = settings.telegram, http, hide

    def __call__(self, alert: Alert) -> Outcome:
        """Send the alert once; return the outcome."""
        text = shown(f"{_mark(alert)}{alert.title}\n{alert.text}".strip(), _CHAT)
        said = {"chat_id": self._chat, "text": text, "disable_web_page_preview": True}
        outcome, answer = _post(self._http, self._url, said, {}, self._hide)
        wait = _number(answer.get("parameters"), "retry_after")
        if outcome.delivered and answer.get("ok") is not True:
            return Outcome(False, "the answer is not the bot API's", final=True)
        return Outcome(outcome.delivered, outcome.why, outcome.final, max(outcome.wait, wait))


def _mark(alert: Alert) -> str:
    return "" if alert.severity == "info" else f"{alert.severity.upper()}: "


def _post(
    http: urllib3.PoolManager,
    url: str,
    what: Mapping[str, Any],
    headers: Mapping[str, str],
    hide: Redactor,
) -> tuple[Outcome, dict[str, Any]]:
    """POST JSON; return the outcome, and the answer if it is a JSON object, else {}."""
    try:
        answer = http.request(
            "POST",
            url,
            body=json.dumps(what, ensure_ascii=False).encode("utf-8", "replace"),
            headers={**http.headers, "Content-Type": "application/json", **headers},
            redirect=False,
            preload_content=False,
        )
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # The text of these errors may hold the URL, and so the token: only their kind is shown.
        return Outcome(False, hide(_reason(error))), {}
    try:
        with suppress(urllib3.exceptions.HTTPError, OSError):
            read = answer.read(_ANSWER)
            return _judged(answer.status, answer.headers), _parsed(read)
        return _judged(answer.status, answer.headers), {}
    finally:
        answer.close()


def _reason(error: Exception) -> str:
    """Return an error's kind and the system's message, without texts that may hold the URL."""
    inner: object = error
    for _ in range(5):  # urllib3 wraps the cause in one way or another
        if isinstance(inner, OSError) and inner.strerror:
            why = getattr(inner, "verify_message", "") or inner.strerror
            prefix = "certificate verify failed: " if hasattr(inner, "verify_message") else ""
            return f"{type(error).__name__}: {prefix}{why}"
        args = getattr(inner, "args", ())
        causes = (getattr(inner, "reason", None), getattr(inner, "__cause__", None), *args)
        inner = next((one for one in causes if isinstance(one, Exception)), None)
    return type(error).__name__


def _judged(status: int, headers: Mapping[str, str]) -> Outcome:
    """Return the outcome that an HTTP status means: delivered, retry or final."""
    if 200 <= status < 300:
        return Outcome(True)
    again = status in {408, 425, 429} or status >= 500
    after = headers.get("Retry-After", "")
    wait = float(after) if after.isdecimal() and len(after) < 6 else 0.0
    hint = "; redirects are not followed" if 300 <= status < 400 else ""
    return Outcome(False, f"HTTP {status}{hint}", final=not again, wait=wait)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(tree: object, name: str) -> float:
    value = tree.get(name) if isinstance(tree, dict) else None
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e5
    return float(value) if right and value is not None else 0.0


class Command:
    """Runs a program without a shell: the alert as JSON on stdin, its parts in variables."""

    def __init__(self, command: list[str], timeout: float) -> None:
        self._command, self._timeout = command, timeout

    def __call__(self, alert: Alert) -> Outcome:
        """Run the command once; exit code 0 means delivered."""
        message = json.dumps(alert.as_dict()).encode() + b"\n"
        # stderr is a file: a process that the command leaves running could hold a pipe open.
        with tempfile.TemporaryFile() as stderr:
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=_environment(alert),
                    start_new_session=True,
                )
            except OSError as error:
                return Outcome(False, f"cannot be run: {error.strerror}", final=True)
            try:
                process.communicate(message, timeout=self._timeout)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return Outcome(False, f"took longer than {self._timeout:g} s")
            stderr.seek(0)
            said = shown(stderr.read(_WORDS).decode("utf-8", "replace").strip(), _WORDS)
        if process.returncode == 0:
            return Outcome(True)
        why = f"exit code {process.returncode}: {said}".rstrip(": ").replace("\n", " ")
        return Outcome(False, why)


def _environment(alert: Alert) -> dict[str, str]:
    """Return this process's environment without secrets, with the alert's fields."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RECORDER_") and name not in {"CREDENTIALS_DIRECTORY"}
    }
    parts = {name: value for name, value in alert.as_dict().items() if name != "event"}
    columns = {f"event_{name}": value for name, value in (alert.event or {}).items()}
    return kept | {
        f"RECORDER_ALERT_{name.upper()}": str(value).replace("\0", "")[:_VARIABLE]
        for name, value in {**parts, **columns}.items()
    }
