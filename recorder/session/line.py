"""One line of a feed: runs the machine's decisions against a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from websockets.exceptions import InvalidStatus
from websockets.protocol import CLOSING, OPEN

from recorder import frame
from recorder.clock import NS, Clock, sync_state, ulid
from recorder.feed import Feed, Plan, Refusal, Verdict, refused
from recorder.journal.block import Buffer
from recorder.journal.writer import Journal
from recorder.redact import Redactor, safe_url
from recorder.session.connection import RecordingConnection, Tape, ended, open_connection
from recorder.session.events import (
    Action,
    Close,
    Connect,
    Ended,
    Event,
    Finish,
    Opened,
    Ping,
    Send,
    Stop,
    Tick,
    Told,
)
from recorder.session.machine import Machine, State

_CLOSE_PATIENCE = 5.0  # seconds for the peer to answer a close
_TICK = 0.2
_LOOK_AT = 200  # bytes of a frame searched for words of control


@dataclass(frozen=True, slots=True)
class Wiring:
    """What every line of a feed shares."""

    feed: Feed
    name: str
    journal: Journal
    clock: Clock
    redactor: Redactor
    log: Any
    about: dict[str, object]  # recorder version, host: goes into every open marker
    options: dict[str, Any]  # compression, proxy, TLS, size limit: for `websockets.connect`
    stats_every: float
    lag: Callable[[], float]  # worst recent delay of the event loop, seconds


class Line:
    """One of a feed's redundant connections for one group of channels."""

    def __init__(self, wiring: Wiring, plan: Plan, letter: str, url: str, machine: Machine) -> None:
        self.wiring, self.plan, self.letter, self.url, self.machine = (
            wiring, plan, letter, url, machine,
        )  # fmt: skip
        self.connections = 0  # opened so far
        self.total_frames = 0  # of connections that are over
        self.total_bytes = 0
        self.refused_channels: set[str] = set()
        self.tape: Tape | None = None
        self.opened_ns: int | None = None
        self.rtt: float | None = None
        self.outcome: Finish | None = None
        self._connection: RecordingConnection | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._attempt: asyncio.Task[None] | None = None
        self._closing_at: float | None = None
        self._next_stats = 0.0
        self._log = wiring.log.bind(feed=wiring.name, group=plan.group, line=letter)

    @property
    def live(self) -> bool:
        """True while connected."""
        return self.machine.state is State.LIVE

    def stop(self) -> None:
        """Ask the line to close and finish."""
        self._events.put_nowait(Stop(self._now()))
        if self._attempt is not None and self._connection is None:
            self._attempt.cancel()

    async def run(self) -> Finish:
        """Keep the line connected until it is stopped or cannot go on; how it ended."""
        while self.outcome is None:
            try:
                event = await asyncio.wait_for(self._events.get(), self._patience())
            except TimeoutError:
                event = self._tick()
            for action in self.machine.handle(event):
                self._act(action)
        if self._attempt is not None:
            await asyncio.wait([self._attempt])
        return self.outcome

    def _now(self) -> float:
        return self.wiring.clock.mono_ns() / NS

    def _patience(self) -> float:
        retry_at = self.machine.retry_at
        return _TICK if retry_at is None else min(_TICK, max(retry_at - self._now(), 0.001))

    def _tick(self) -> Tick:
        now = self._now()
        if self._connection is not None:
            self._force_close(now)
            if now >= self._next_stats:
                self._next_stats = now + self.wiring.stats_every
                self._mark_stats(self._connection)
        heard = self.tape.heard_ns / NS if self.tape else 0.0
        data = self.tape.data_ns / NS if self.tape else 0.0
        return Tick(now, heard, data)

    def _force_close(self, now: float) -> None:
        connection = self._connection
        if connection is None or connection.protocol.state is not CLOSING:
            return
        self._closing_at = self._closing_at or now
        if now - self._closing_at > _CLOSE_PATIENCE:
            connection.transport.abort()

    # -- actions

    def _act(self, action: Action) -> None:
        connection = self._connection
        match action:
            case Connect(attempt):
                self._attempt = asyncio.create_task(self._connect(attempt))
                self._attempt.add_done_callback(self._never_began)
            case Send(text) if connection is not None:
                self._send(connection, text)
            case Ping() if connection is not None:
                connection.send_ping()
            case Close(reason, abort) if connection is not None:
                self._log.info("closing", why=reason)
                if abort:
                    connection.transport.abort()
                else:
                    connection.send_close(reason)
            case Finish(reason, code):
                self.outcome = action
                if code:
                    self._log.error("gave up", why=reason)
            case _:
                pass

    def _send(self, connection: RecordingConnection, text: str) -> None:
        if connection.send_text(text) and self.tape is not None:
            self.tape.mark(frame.SENT, self.wiring.redactor(text).encode())

    def _never_began(self, attempt: asyncio.Task[None]) -> None:
        if attempt.cancelled():  # stopped in the very turn of the loop that scheduled it
            self._events.put_nowait(Ended(self._now(), Verdict("stopped while connecting")))

    async def _connect(self, attempt: int) -> None:
        wiring = self.wiring
        tape = Tape(wiring.journal, ulid(wiring.clock.wall_ns(), os.urandom(10)), wiring.clock)
        look = self._look if wiring.feed.control is not None else None
        opened = partial(self._mark_open, tape)
        create = partial(RecordingConnection, tape=tape, opened=opened, look=look)
        options = dict(wiring.options)
        if not self.url.startswith("wss:"):
            options.pop("ssl", None)
        self._log.info("connecting", url=safe_url(self.url), attempt=attempt)
        try:
            connection = await open_connection(
                self.url,
                additional_headers=dict(self.plan.headers),
                create_connection=create,
                **options,
            )
        except asyncio.CancelledError:
            self._failed(tape, ConnectionAbortedError("stopped while connecting"))
            return
        except Exception as error:
            self._failed(tape, error)
            return
        self.tape, self._connection, self._closing_at = tape, connection, None
        self.connections += 1
        self._next_stats = self._now() + min(1.0, wiring.stats_every)
        self._log.info("open", connection=tape.stream.connection)
        self._events.put_nowait(Opened(self._now()))
        await ended(connection)
        self._lost(tape, connection)

    def _failed(self, tape: Tape, error: Exception) -> None:
        if isinstance(error, InvalidStatus):
            response = error.response
            headers = {name.lower(): value for name, value in response.headers.raw_items()}
            body = (response.body or b"").decode("utf-8", "replace")
            refusal = Refusal(response.status_code, headers, self.wiring.redactor(body))
            verdict, code = self._ask_refused(refusal), response.status_code
        else:
            text = str(error) or type(error).__name__
            verdict, code = Verdict(f"cannot connect: {self.wiring.redactor(text)}"), None
        self._mark_closed(tape, code, verdict.reason, opened=False)
        self._end(verdict)

    def _lost(self, tape: Tape, connection: RecordingConnection) -> None:
        received, sent = connection.protocol.close_rcvd, connection.protocol.close_sent
        close = received or sent
        code = int(close.code) if close else 1006
        reason = close.reason if close else "connection lost without a close frame"
        reason = self.wiring.redactor(reason)
        verdict = self._ask_close(code, reason) if received is not None else None
        self.total_frames += tape.frames
        self.total_bytes += tape.bytes
        self._connection = self.tape = self.opened_ns = None
        why = self.machine.ending or f"closed {code} {reason}".strip()
        self._mark_closed(tape, code, why, opened=True)
        self._end(verdict or Verdict(f"closed {code} {reason}".strip()))

    # A feed's own rules may be anyone's code: a mistake in them must not leave the line hanging.

    def _ask_refused(self, refusal: Refusal) -> Verdict:
        try:
            return self.wiring.feed.on_refused(refusal)
        except Exception as error:
            self._log.error("this feed's on_refused failed", why=repr(error))
            return refused(refusal)

    def _ask_close(self, code: int, reason: str) -> Verdict | None:
        try:
            return self.wiring.feed.on_close(code, reason)
        except Exception as error:
            self._log.error("this feed's on_close failed", why=repr(error))
            return None

    def _end(self, verdict: Verdict) -> None:
        if self.machine.ending:
            self._log.info("closed", why=self.machine.ending)
        else:
            self._log.warning("not connected", why=verdict.reason)
        self._events.put_nowait(Ended(self._now(), verdict))

    # -- what the service says

    def _look(self, payload: Buffer) -> None:
        feed = self.wiring.feed
        assert feed.control is not None
        if not feed.control.search(payload, 0, _LOOK_AT):
            return
        # Redacted before the feed sees it: a key cut short by the feed would pass unnoticed.
        text = self.wiring.redactor(bytes(payload).decode("utf-8", "replace"))
        try:
            notice = feed.notice(text.encode())
        except Exception as error:  # no frame of any content can stop capture
            self._log.warning("a message could not be read", why=type(error).__name__)
            return
        if notice is None:
            return
        self._log.warning("notice", says=notice.text)
        if notice.refused_channel is not None:
            self.refused_channels.add(notice.refused_channel)
        if notice.verdict is not None:
            self._events.put_nowait(Told(self._now(), notice.verdict))

    # -- markers

    def _mark(self, tape: Tape, kind: int, /, **fields: object) -> None:
        text = msgspec.json.encode({"line": self.letter, "group": self.plan.group, **fields})
        tape.mark(kind, self.wiring.redactor(text.decode()).encode())

    def _mark_open(self, tape: Tape) -> None:
        self.opened_ns = self.wiring.clock.wall_ns()
        self._mark(
            tape,
            frame.OPEN,
            url=safe_url(self.url),
            channels=self.plan.channels,
            **self.wiring.about,
        )

    def _mark_closed(self, tape: Tape, code: int | None, reason: str, *, opened: bool) -> None:
        self._mark(
            tape,
            frame.CLOSED,
            url=safe_url(self.url),
            opened=opened,
            code=code,
            reason=reason,
            heard_ns=tape.recv_ns or None,
            frames=tape.frames,
            bytes=tape.bytes,
        )

    def mark_clock_step(self, step_ns: int) -> None:
        """Note that the wall clock was stepped: later `recv_ns` are that much off the earlier."""
        if self._connection is not None:
            self._mark_stats(self._connection, clock_step_ns=step_ns)

    def _mark_stats(self, connection: RecordingConnection, **more: object) -> None:
        tape = self.tape
        if tape is None or connection.protocol.state is not OPEN:
            return
        sync = sync_state()
        self.rtt = connection.round_trip()
        self._mark(
            tape,
            frame.STATS,
            heard_ns=tape.recv_ns or None,
            frames=tape.frames,
            bytes=tape.bytes,
            backlog=connection.backlog(),
            rtt=self.rtt,
            loop_lag=self.wiring.lag(),
            clock=None
            if sync is None
            else {
                "synchronised": sync.synchronised,
                "error_ns": sync.error_ns,
                "offset_ns": sync.offset_ns,
            },
            **more,
        )
