"""One link of a line: runs the machine's decisions against a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
from websockets.exceptions import InvalidStatus
from websockets.protocol import CLOSING, OPEN

from recorder import frame
from recorder.clock import NS, Clock, sync_state, ulid
from recorder.coding import decoded, opening
from recorder.feed import Feed, Notice, Plan, timed
from recorder.record.journal.block import Buffer
from recorder.record.journal.writer import Journal
from recorder.redact import Redactor, added_by, safe_url
from recorder.session.bounds import Bounds, Intake, Usage
from recorder.session.connection import RecordingConnection, Tape, ended, open_connection
from recorder.session.events import (
    Action,
    Change,
    Close,
    Connect,
    EndAnnounced,
    Ended,
    Event,
    Finish,
    Opened,
    Ping,
    Rejected,
    Renew,
    Reply,
    Send,
    Stop,
    Tick,
)
from recorder.session.machine import Machine
from recorder.session.refusal import refusal
from recorder.verdict import Refusal, Verdict, refused

_CLOSE_PATIENCE = 5.0  # seconds for the peer to answer a close
_TICK = 0.2
_LONGEST = 1 << 20  # bytes of a packed notice's text
_LOOK_AT = 200  # bytes of a frame that are searched for the feed's `control` pattern


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts that all links of a feed share."""

    feed: Feed
    name: str
    journal: Journal
    clock: Clock
    redactor: Redactor
    log: Any
    about: dict[str, object]  # recorder version, host: fields of every open marker
    options: dict[str, Any]  # compression, proxy, TLS, size limit: for `websockets.connect`
    stats_every: float
    lag: Callable[[], float]  # worst recent delay of the event loop, seconds
    intake: Intake  # the bytes of incomplete messages on all connections of this process
    bounds: Bounds


@dataclass(slots=True)
class Tally:
    """The counts of one line over all its links."""

    connections: int = 0  # opened so far
    frames: int = 0  # of connections that have ended
    bytes: int = 0
    refused_channels: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Slot:
    """A link's place in its line, and the calls to that line."""

    letter: str
    url: str
    tally: Tally
    changed: Callable[[], None]  # called after each event of the link
    renew: Callable[[str], None]  # asks for another link to take over, with the reason


class Link:
    """One connection at a time to one endpoint; reconnects until it is stopped or gives up."""

    def __init__(self, wiring: Wiring, slot: Slot, plan: Plan, machine: Machine) -> None:
        self.wiring, self.slot, self.plan, self.machine = wiring, slot, plan, machine
        self.tape: Tape | None = None
        self.opened_ns: int | None = None
        self.rtt: float | None = None
        self.outcome: Finish | None = None
        self._connection: RecordingConnection | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._attempt: asyncio.Task[None] | None = None
        self._signature = Redactor()  # of the latest attempt's URL
        self._closing_at: float | None = None
        self._next_stats = 0.0
        self._log = wiring.log.bind(feed=wiring.name, group=plan.group, line=slot.letter)

    def stop(self, reason: str = "stopping") -> None:
        """Close the link; `run` then returns."""
        self._events.put_nowait(Stop(self._now(), reason))
        if self._attempt is not None and self._connection is None:
            self._attempt.cancel()

    def change(self, plan: Plan, messages: tuple[str, ...]) -> None:
        """Follow another plan for the same endpoint; the messages change the subscriptions.

        Without a connection they are dropped: the next one begins with the new plan's hello.
        """
        self.plan = plan
        self._events.put_nowait(Change(self._now(), plan, messages))

    async def run(self) -> None:
        """Keep connected until stopped or until the link gives up; then set `outcome`."""
        while self.outcome is None:
            try:
                event = await asyncio.wait_for(self._events.get(), self._patience())
            except TimeoutError:
                event = self._tick()
            for action in self.machine.handle(event):
                self._act(action)
            self.slot.changed()
        if self._attempt is not None:
            await asyncio.wait([self._attempt])

    @property
    def data_at(self) -> float:
        """When this connection's last data frame arrived, monotonic seconds; 0: none did."""
        return self.tape.data_ns / NS if self.tape else 0.0

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
        return Tick(now, heard, self.data_at)

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
                self._attempt.add_done_callback(self._attempt_done)
            case Send(text) if connection is not None:
                self._send(connection, timed(text, self.wiring.clock.wall_ns()))
            case Ping() if connection is not None:
                connection.send_ping()
            case Close(reason, abort) if connection is not None:
                self._log.info("closing", why=reason)
                if abort:
                    connection.transport.abort()
                else:
                    connection.send_close(reason)
            case Renew(reason):
                self.slot.renew(reason)
            case Finish(reason, code):
                self.outcome = action
                if code:
                    self._log.error("gave up", why=reason)
            case _:
                pass

    def _send(self, connection: RecordingConnection, text: str) -> None:
        if connection.send_text(text) and self.tape is not None:
            self.tape.mark(frame.SENT, self.wiring.redactor(text).encode())

    def _attempt_done(self, attempt: asyncio.Task[None]) -> None:
        """Queue the `Ended` event of an attempt whose task ended before it could do so."""
        if attempt.cancelled():  # stopped before the task first ran
            self._events.put_nowait(Ended(self._now(), Verdict("stopped while connecting")))
        elif (error := attempt.exception()) is not None:  # a bug of ours: log it and reconnect
            if self._connection is not None:
                self._connection.transport.abort()
            self._connection = self.tape = self.opened_ns = None
            why = self._hide(f"failed: {error!r}")
            self._events.put_nowait(Ended(self._now(), Verdict(why)))
            self._log.error("not connected", why=why)

    async def _connect(self, attempt: int) -> None:
        wiring = self.wiring
        name = ulid(wiring.clock.wall_ns(), os.urandom(10))
        feed = wiring.feed
        tape = Tape(wiring.journal, name, wiring.clock, feed.answer, feed.coding)
        look = self._look if feed.control is not None else None
        opened = partial(self._mark_open, tape)
        usage = Usage(wiring.bounds, wiring.intake)
        create = partial(RecordingConnection, tape=tape, opened=opened, look=look, usage=usage)
        self._log.info("connecting", url=safe_url(self.slot.url), attempt=attempt)
        try:
            url = self._address()
            connection = await open_connection(
                url,
                additional_headers=dict(self.plan.headers),
                create_connection=create,
                **_options(wiring.options, url),
            )
        except asyncio.CancelledError:
            self._failed(tape, ConnectionAbortedError("stopped while connecting"))
            return
        except Exception as error:
            self._failed(tape, error)
            return
        self.tape, self._connection, self._closing_at = tape, connection, None
        self.slot.tally.connections += 1
        self._next_stats = self._now() + min(1.0, wiring.stats_every)
        self._log.info("open", connection=tape.stream.connection)
        self._events.put_nowait(Opened(self._now()))
        await ended(connection)
        self._lost(tape, connection)

    def _address(self) -> str:
        """Return this attempt's URL, and redact from now on what signing adds to it."""
        url = self.slot.url
        if self.plan.sign is None:
            return url
        signed = self.plan.sign(url, self.wiring.clock.wall_ns())
        self._signature = Redactor(added_by(signed, url))
        return signed

    def _hide(self, text: str) -> str:
        return self.wiring.redactor(self._signature(text))  # signature first: it may hold the key

    def _failed(self, tape: Tape, error: Exception) -> None:
        if isinstance(error, InvalidStatus):
            wall_s = self.wiring.clock.wall_ns() / NS
            answer = refusal(error.response, wall_s, self._hide, keyed=self.plan.keyed)
            verdict, code = self._ask_refused(answer), answer.status
        else:
            text = str(error) or type(error).__name__
            verdict, code = Verdict(f"cannot connect: {self._hide(text)}"), None
        verdict = self.machine.weigh(verdict)
        self._mark_closed(tape, code, verdict, opened=False)
        self._end(verdict)

    def _lost(self, tape: Tape, connection: RecordingConnection) -> None:
        received, sent = connection.protocol.close_rcvd, connection.protocol.close_sent
        close = received or sent
        code = int(close.code) if close else 1006
        reason = close.reason if close else "connection lost without a close frame"
        reason = self._hide(connection.broken or reason)
        verdict = self._ask_close(code, reason) if received is not None else None
        self.slot.tally.frames += tape.frames
        self.slot.tally.bytes += tape.bytes
        self._connection = self.tape = self.opened_ns = None
        why = f"closed {code} {reason}".strip()
        verdict = verdict or Verdict(why)
        ours = self.machine.own_end or verdict
        self._mark_closed(tape, code, replace(ours, reason=self.machine.ending or why), opened=True)
        self._end(verdict)

    # A plug-in's rules may raise anything: the link must get a verdict all the same.

    def _ask_refused(self, answer: Refusal) -> Verdict:
        try:
            return self.wiring.feed.on_refused(answer)
        except Exception as error:
            self._log.error("this feed's on_refused failed", why=repr(error))
            return refused(answer)

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

    # -- messages of the service about the connection

    def _look(self, payload: Buffer) -> None:
        feed = self.wiring.feed
        assert feed.control is not None
        if not feed.control.search(opening(feed.coding, bytes(payload), _LOOK_AT)):
            return
        try:
            # Redact before the feed cuts the text: the redactor would miss a part of a key.
            text = self._hide(
                decoded(feed.coding, bytes(payload), _LONGEST).decode("utf-8", "replace")
            )
            notice = feed.notice(text.encode())
        except Exception as error:  # no frame of any content can stop capture
            self._log.warning("a message could not be read", why=type(error).__name__)
            return
        if notice is not None:
            self._apply(notice)

    def _apply(self, notice: Notice) -> None:
        if notice.text:
            self._log.warning("notice", says=notice.text)
        if notice.refused_channel is not None:
            self.slot.tally.refused_channels.add(notice.refused_channel)
        if notice.reply is not None:
            self._events.put_nowait(Reply(self._now(), notice.reply))
        if notice.ending:
            self._events.put_nowait(EndAnnounced(self._now(), notice.text))
        if notice.verdict is not None:
            self._events.put_nowait(Rejected(self._now(), notice.verdict))

    # -- markers

    def _mark(self, tape: Tape, kind: int, /, **fields: object) -> None:
        text = msgspec.json.encode({"line": self.slot.letter, "group": self.plan.group, **fields})
        tape.mark(kind, self.wiring.redactor(text.decode()).encode())

    def _mark_open(self, tape: Tape) -> None:
        self.opened_ns = self.wiring.clock.wall_ns()
        self._mark(
            tape,
            frame.OPEN,
            url=safe_url(self.slot.url),
            channels=self.plan.channels,
            **self.wiring.about,
        )

    def _mark_closed(self, tape: Tape, code: int | None, verdict: Verdict, *, opened: bool) -> None:
        self._mark(
            tape,
            frame.CLOSED,
            url=safe_url(self.slot.url),
            opened=opened,
            code=code,
            reason=verdict.reason,
            exit_code=verdict.exit_code if verdict.fatal else None,
            heard_ns=tape.recv_ns or None,
            frames=tape.frames,
            bytes=tape.bytes,
        )

    def mark_clock_step(self, step_ns: int) -> None:
        """Record that the wall clock was stepped: later `recv_ns` differ by `step_ns`."""
        if self._connection is not None:
            self._mark_stats(self._connection, clock_step_ns=step_ns)

    def _mark_stats(self, connection: RecordingConnection, **more: object) -> None:
        tape = self.tape
        if tape is None or connection.protocol.state is not OPEN:
            return
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
            clock=clock_fields(),
            **more,
        )


def clock_fields() -> dict[str, object] | None:
    """Return what a `stats` marker says of the clock; None if it is unknown."""
    sync = sync_state()
    if sync is None:
        return None
    return {
        "synchronised": sync.synchronised,
        "error_ns": sync.error_ns,
        "offset_ns": sync.offset_ns,
    }


def _options(options: dict[str, Any], url: str) -> dict[str, Any]:
    """Return the options without those that do not apply to this URL."""
    return {k: v for k, v in options.items() if k != "ssl" or url.startswith("wss:")}
