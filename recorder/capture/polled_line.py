"""The URLs of one group that are polled: the counterpart of a line over a WebSocket.

As long as answers come they belong to one connection of the record, which lives from its first
answer to its last. A failure ends it, with its reason; the next answer begins another. An outage
is a gap; the time between two answers is not.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import replace
from hashlib import sha256
from string import ascii_uppercase
from typing import Any

import msgspec

from recorder import frame
from recorder.capture import http
from recorder.capture.poll_schedule import Schedule, Url
from recorder.capture.threads import in_thread
from recorder.clock import NS, ulid
from recorder.feed import Plan
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Stream
from recorder.redact import safe_url
from recorder.session.budget import Budget
from recorder.session.events import Finish
from recorder.session.link import Tally, Wiring, clock_fields
from recorder.session.machine import NOT_CONNECTED, State
from recorder.session.refusal import refused_request
from recorder.verdict import Verdict, refused

Payload = bytes  # `PolledLine.bytes` is a number

#: What a marker keeps of an answer's headers.
_KEPT = ("etag", "last-modified", "date", "content-type")


class PolledLine:
    """Asks the URLs of a plan in turn; it has what `Line` has for the board and the status."""

    def __init__(  # noqa: PLR0913, PLR0917 - as a `Line`, and how to get there
        self,
        wiring: Wiring,
        plan: Plan,
        number: int,
        budget: Budget,
        reach: http.Reach,
        max_retries: int | None = None,
    ) -> None:
        self.wiring, self.plan, self.budget, self._reach = wiring, plan, budget, reach
        self.letter, self.max_retries = ascii_uppercase[number], max_retries
        self.tally = Tally()
        self.outcome: Finish | None = None
        self.state = State.CONNECTING
        self.opened_ns: int | None = None
        self.rtt: float | None = None
        self.data_at = 0.0
        self._dice = random.SystemRandom().random
        self._schedule = Schedule(plan, budget.policy.backoff, self._now(), self._dice)
        self._stream: Stream | None = None
        self._heard_ns: int | None = None
        self._frames = self._bytes = 0
        self._next_stats = 0.0
        self._woken = asyncio.Event()
        self._stopping = ""
        self._http = http.pool(reach)
        self._log = wiring.log.bind(feed=wiring.name, group=plan.group, line=self.letter)

    # -- what a line has

    @property
    def live(self) -> bool:
        """True while answers come."""
        return self.state is State.LIVE

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._schedule.failures

    @property
    def retry_at(self) -> float | None:
        """When the next request is due after a failure, monotonic seconds; None: none failed."""
        return self._due() if self.state is State.WAITING else None

    @property
    def frames(self) -> int:
        """Bodies recorded so far."""
        return self.tally.frames + self._frames

    @property
    def bytes(self) -> int:
        """Their size."""
        return self.tally.bytes + self._bytes

    def stop(self, reason: str = "stopping") -> None:
        """Ask no more; `run` then returns."""
        self._stopping = reason
        self._woken.set()

    def be_last(self, why: Finish) -> None:
        """End: the key that this line may show too was refused."""
        self.stop(why.reason)
        self.outcome = why

    def change(
        self, wiring: Wiring, plan: Plan, budget: Budget, *, reconnect: bool = False
    ) -> None:
        """Follow another plan."""
        changed = reconnect or plan != self.plan
        self.wiring, self.plan, self.budget = wiring, plan, budget
        if changed:
            self._schedule = Schedule(plan, budget.policy.backoff, self._now(), self._dice)
            self._woken.set()

    def mark_clock_step(self, step_ns: int) -> None:
        """Record that the wall clock was stepped."""
        if self._stream is not None:
            self._mark_stats(clock_step_ns=step_ns)

    async def run(self) -> Finish:
        """Ask until stopped; return how it ended."""
        while not self._stopping:
            await self._sleep(self._due() - self._now())
            if self._stream is not None and self._now() >= self._next_stats:
                self._mark_stats()
            if self._stopping or self._now() < self._due():
                continue
            url = self._schedule.next()
            await self._ask(url)
            if self.max_retries is not None and self.failures > self.max_retries:
                never = not self.tally.connections
                why, code = f"failed {self.failures} times in a row", NOT_CONNECTED if never else 1
                self._log.error("gave up", why=why)
                self.outcome = Finish(why, code)
                break
        self._close(Verdict(self._stopping or "gave up"), None)
        self.state = State.FINISHED
        self._http.clear()
        self.outcome = self.outcome or Finish(self._stopping, 0)
        return self.outcome

    # -- asking

    def _now(self) -> float:
        return self.wiring.clock.mono_ns() / NS

    def _due(self) -> float:
        return max(self._schedule.due, self.budget.held_until)

    async def _sleep(self, seconds: float) -> None:
        self._woken.clear()
        if seconds <= 0 or self._stopping:
            return
        try:
            await asyncio.wait_for(self._woken.wait(), min(seconds, self.wiring.stats_every))
        except TimeoutError:
            return

    async def _ask(self, url: Url) -> None:
        clock, schedule = self.wiring.clock, self._schedule
        where = self._where(url)
        headers = {**http.OWN_HEADERS, **self.plan.headers, **self._conditions(url)}
        asked_ns, began = clock.wall_ns(), self._now()
        work = asyncio.ensure_future(
            in_thread(lambda: http.ask(self._http, where, headers, clock.wall_ns), "poll")
        )
        stopped = asyncio.ensure_future(self._woken.wait())
        while not work.done() and not self._stopping:
            self._woken.clear()
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                stopped = asyncio.ensure_future(self._woken.wait())
        stopped.cancel()
        if not work.done():
            work.cancel()
            return
        try:
            answer = work.result()
        except Exception as error:  # any failure of a request is its own, and nobody else's
            what = str(error) if isinstance(error, http.UnansweredError) else repr(error)
            self._failed(url, Verdict(self._hide(what)), None)
            return
        self.rtt = self._now() - began
        if answer.status in {200, 304}:
            schedule.answered(url, self._now())
            self._take(url, where, answer, asked_ns)
        else:
            self._failed(url, self._verdict(answer), answer.status)

    def _where(self, url: Url) -> str:
        """Return the URL that is asked: at the user's `rest_url` unless the user named it."""
        return url.url if self.plan.own else self._reach.url(url.url)

    def _conditions(self, url: Url) -> dict[str, str]:
        """Return the headers that ask for a changed body only: one of this connection is known."""
        if self._stream is None or url.stream != self._stream.connection:
            return {}
        found = {"If-None-Match": url.etag, "If-Modified-Since": url.modified}
        return {name: value for name, value in found.items() if value}

    def _verdict(self, answer: http.HttpAnswer) -> Verdict:
        refusal = refused_request(
            answer.status, answer.headers, answer.body, answer.answered_ns / NS, self._hide,
            self.plan.keyed,
        )  # fmt: skip
        return replace(refused(refusal), fatal=False)

    def _hide(self, text: str) -> str:
        return self.wiring.redactor(text)

    def _failed(self, url: Url, verdict: Verdict, code: int | None) -> None:
        """Note a failure. One URL of many that does not exist says nothing of the others."""
        shown = self._hide(safe_url(self._where(url)))
        if code in {400, 404, 410} and self._schedule.many:
            if not url.refused:
                self._log.warning("a polled URL was refused", url=shown, why=verdict.reason)
            self.tally.refused_channels.add(shown)
            self._schedule.refused(url, self._now())
            return
        wait = self._schedule.failed(url, self._now(), verdict)
        if verdict.limited:
            self.budget.hold(self._now() + wait)
        reason = f"{verdict.reason}; asks again in {wait:,.0f} s"
        self._log.warning("no answer", url=shown, why=reason)
        retry_ns = self.wiring.clock.wall_ns() + int(wait * NS)
        self._close(replace(verdict, reason=reason), code, shown, retry_ns)
        self.state = State.WAITING

    # -- the record

    def _take(self, url: Url, where: str, answer: http.HttpAnswer, asked_ns: int) -> None:
        """Record an answer: a marker, and its body unless this connection has the same one."""
        stream = self._stream or self._open(where, asked_ns)
        digest = sha256(answer.body).digest()
        known = url.stream == stream.connection
        unchanged = answer.status == 304 or (known and digest == url.digest)
        if answer.broken:
            self._log.warning("a broken answer", url=self._hide(safe_url(where)), why=answer.broken)
        kept = {name.replace("-", "_"): answer.headers[name] for name in _KEPT
                if name in answer.headers}  # fmt: skip
        fields: dict[str, Any] = {
            "url": safe_url(where), "asked_ns": asked_ns, "status": answer.status,
            "bytes": len(answer.body), "unchanged": unchanged,
            **({"broken": answer.broken} if answer.broken else {}), **kept,
        }  # fmt: skip
        payloads = [(frame.ANSWER, self._fields(**fields))]
        if not unchanged:
            payloads.append((frame.POLLED, answer.body))
            self._frames += 1
            self._bytes += len(answer.body)
            url.digest, url.stream = digest, stream.connection
            url.etag, url.modified = kept.get("etag"), kept.get("last_modified")
        self._write(stream, answer.answered_ns, payloads)
        self._heard_ns, self.data_at = answer.answered_ns, self._now()

    def _open(self, where: str, asked_ns: int) -> Stream:
        self._stream = self._new_stream()
        self.opened_ns, self.state = asked_ns, State.LIVE
        self.tally.connections += 1
        self._log.info("open", connection=self._stream.connection)
        about = self._fields(
            url=safe_url(where), channels=self.plan.channels, every=self.plan.every,
            **self.wiring.about,
        )  # fmt: skip
        self._write(self._stream, asked_ns, [(frame.OPEN, about)])
        return self._stream

    def _close(
        self,
        verdict: Verdict,
        code: int | None,
        failed: str | None = None,
        retry_ns: int | None = None,
    ) -> None:
        """Mark the end of the connection, or an attempt that failed, at this URL."""
        opened = self._stream is not None
        if not opened and failed is None:
            return
        stream = self._stream or self._new_stream()
        marker = self._fields(
            url=failed, opened=opened, code=code, reason=verdict.reason, every=self.plan.every,
            retry_ns=retry_ns,
            heard_ns=self._heard_ns if opened else None, frames=self._frames, bytes=self._bytes,
        )  # fmt: skip
        self.wiring.journal.mark(stream, frame.CLOSED, marker)
        self.tally.frames += self._frames
        self.tally.bytes += self._bytes
        self._stream, self.opened_ns, self._frames, self._bytes = None, None, 0, 0
        self._next_stats = 0.0

    def _mark_stats(self, **more: object) -> None:
        assert self._stream is not None
        self._next_stats = self._now() + self.wiring.stats_every
        marker = self._fields(
            heard_ns=self._heard_ns, frames=self._frames, bytes=self._bytes, rtt=self.rtt,
            loop_lag=self.wiring.lag(), clock=clock_fields(), **more,
        )  # fmt: skip
        self.wiring.journal.mark(self._stream, frame.STATS, marker)

    def _new_stream(self) -> Stream:
        return Stream(ulid(self.wiring.clock.wall_ns(), os.urandom(10)))

    def _fields(self, **fields: object) -> Payload:
        text = msgspec.json.encode({"line": self.letter, "group": self.plan.group, **fields})
        return self._hide(text.decode()).encode()

    def _write(self, stream: Stream, recv_ns: int, payloads: list[tuple[int, Payload]]) -> None:
        records: list[Payload] = []
        for kind, payload in payloads:
            records += (RECORD.pack(kind, len(payload)), payload)
        size = sum(map(len, records))
        self.wiring.journal.write(stream, recv_ns, self.wiring.clock.mono_ns(), records, size)
