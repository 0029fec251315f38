"""The handshake fails: refused, dripped byte by byte, or with a certificate that is not right."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from kit.captures import Story, Told, capturing, eventually, marker, received, rows, tell
from kit.servers import Peer, Script
from websockets.asyncio.server import ServerConnection, serve

from .kills import clean
from .outcome import CannotRunHereError, Outcome, Scale, Talk, judge

_WELL = ("text", b"well")


def refusals(seed: int, scale: Scale) -> Outcome:
    """A blamed key ends its feed alone; 429, 503 and a dripped handshake are tried again."""
    del seed
    outcome = Outcome()
    for _ in range(scale.of(short=1, full=3)):
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_refusals(Path(place) / "data", outcome))
    return outcome


def _first(refuse: Script) -> Script:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await refuse(peer)
        else:
            await peer.accept()
            await peer.send(_WELL)

    return script


def _status(status: int, error: str = "no", **headers: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.refuse(status, b'{"error":"%s"}' % error.encode(), **headers)

    return _first(script)


async def _drip(peer: Peer) -> None:
    for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: " + b"l" * 100:
        await peer.write(bytes([byte]))
        await asyncio.sleep(0.3)
        if peer.gone.is_set():
            return


async def _never_answer(peer: Peer) -> None:
    await peer.gone.wait()


@dataclass(frozen=True)
class _Case:
    """A refusal, and when the next attempt may come (seconds; None: never)."""

    script: Script
    earliest: float | None = 0.0
    latest: float = 5.0


_CASES = {
    "http401": _Case(_status(401), None),
    "http403": _Case(_status(403, "invalid_api_key"), None),
    "http429": _Case(_status(429, Retry_After="4"), 4.0, 7.0),
    "http503": _Case(_status(503, Retry_After="3"), 3.0, 6.0),
    "http500": _Case(_status(500)),
    "redirect": _Case(_status(302, Location="ws://127.0.0.1:9/")),
    "dripping": _Case(_first(_drip), 9.5, 14.0),
    "mute": _Case(_first(_never_answer), 9.5, 14.0),
}


async def _refusals(data: Path, outcome: Outcome) -> None:
    stories = {
        name: Story(case.script, 1 if case.earliest is None else 2, {"headers": {"X-Key": "mine"}})
        for name, case in _CASES.items()
    }
    told = await tell(data, stories)
    wrong = clean(data, told.code - 4, told.said)  # a refused key decides the exit code
    for name, case in _CASES.items():
        outcome.survive(wrong, _judge(name, case, told.stories[name], outcome))


def _judge(name: str, case: _Case, told: Told, outcome: Outcome) -> str:
    peers = told.server.peers
    talk = Talk(0, sent=[_WELL], acknowledged=1)
    if case.earliest is None:
        last = marker(told.connections[0][-1])
        right = len(peers) == 1 and f"HTTP {name[4:]}" in last["reason"]
        return "" if right else f"{name}: {len(peers)} attempts, {last}"
    problem = outcome.add(judge([talk], [received(told.connections[-1])]))
    waited = peers[1].at - peers[0].at
    if not case.earliest <= waited <= case.latest:
        problem += f" {name}: the next attempt came after {waited:.1f} s"
    return problem


# -- TLS


@dataclass
class _Certificates:
    """Self-signed certificates made for this run, as paths of PEM files."""

    place: Path
    made: dict[str, Path] = field(default_factory=dict)

    def make(self, name: str, host: str, *dates: str) -> None:
        path = self.place / f"{name}.pem"
        key, request = self.place / f"{name}.key", self.place / f"{name}.csr"
        _openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={host}"),
        )
        settings = self.place / f"{name}.cnf"
        settings.write_text(_CA.format(place=self.place, host=host), "ascii")
        (self.place / "index").write_text("", "ascii")
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-selfsign"),
            *("-keyfile", key, "-in", request, "-out", path, *dates),
        )
        path.write_text(path.read_text("ascii") + key.read_text("ascii"), "ascii")
        self.made[name] = path


_CA = """
[ca]
default_ca = it
[it]
new_certs_dir = {place}
rand_serial = yes
database = {place}/index
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:{host}
basicConstraints = CA:true
"""
_VALID = ("-days", "2")
_EXPIRED = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")


def _openssl(*arguments: object) -> None:
    command = ["openssl", *(str(part) for part in arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotRunHereError(f"openssl cannot make certificates: {done.stderr[-200:]}")


@dataclass(frozen=True)
class _Secure:
    certificate: str
    trusted: bool
    says: str  # in the log; empty where the connection must succeed


_SECURE = {
    "unknown": _Secure("valid", False, "self-signed certificate"),
    "trusted": _Secure("valid", True, ""),
    "expired": _Secure("expired", True, "certificate has expired"),
    "stranger": _Secure("stranger", True, "IP address mismatch"),
}


def tls(seed: int, scale: Scale) -> Outcome:
    """A certificate unknown, expired or of another host is refused; one of `ca_file` is taken."""
    del seed
    if not shutil.which("openssl"):
        raise CannotRunHereError("certificates are made with openssl")
    outcome = Outcome()
    for _ in range(scale.of(short=1, full=3)):
        with tempfile.TemporaryDirectory() as place:
            certificates = _Certificates(Path(place))
            certificates.make("valid", "127.0.0.1", *_VALID)
            certificates.make("expired", "127.0.0.1", *_EXPIRED)
            certificates.make("stranger", "127.0.0.9", *_VALID)
            asyncio.run(_tls(Path(place) / "data", certificates.made, outcome))
    return outcome


async def _tls(data: Path, certificates: dict[str, Path], outcome: Outcome) -> None:
    opened: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        feeds = {}
        for name, case in _SECURE.items():
            path = certificates[case.certificate]
            port = await stack.enter_async_context(_serving(path, _note(opened, name)))
            feeds[name] = {"url": f"wss://127.0.0.1:{port}/"}
            if case.trusted:
                feeds[name]["ca_file"] = str(path)
        child = await stack.enter_async_context(capturing(data, feeds))
        await eventually(lambda: all(c.says in child.said for c in _SECURE.values()) and opened)
        await asyncio.sleep(0.3)
        code = await child.stopped()
    wrong = clean(data, code if code == 0 else code - 3, child.said)
    for name, case in _SECURE.items():
        sent = [] if case.says else [_WELL]
        found = received(rows(data, name))
        problem = outcome.add(judge([Talk(0, sent=sent, acknowledged=len(sent))], [found]))
        told = "" if bool(case.says) != (name in opened) else f"{name}: opened {opened}"
        outcome.survive(wrong, problem, told)


def _note(opened: list[str], name: str) -> Callable[[ServerConnection], object]:
    async def say(connection: ServerConnection) -> None:
        opened.append(name)
        await connection.send(_WELL[1], text=True)
        await connection.wait_closed()

    return say


@contextlib.asynccontextmanager
async def _serving(
    certificate: Path, handler: Callable[[ServerConnection], object]
) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with serve(handler, "127.0.0.1", 0, ssl=context, compression=None) as server:
        yield server.sockets[0].getsockname()[1]
